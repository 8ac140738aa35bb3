#include "upstream/upstream.hpp"

#include "upstream/upstream_impl.hpp"

namespace sallyport::upstream {

Upstream::Impl::Impl(UpstreamSettings upstream_settings, transport::SslContext tls_context, boost::asio::io_context& io_context,
                     transport::DeadlineWheel& wheel)
    : settings(std::move(upstream_settings)),
      tls(std::move(tls_context)),
      context(io_context),
      balancer(settings.balance, settings.servers) {
  servers.reserve(settings.servers.size());
  for (const ServerSettings& server : settings.servers) {
    const bool is_named = settings.tls && !settings.tls->server_name.empty();
    servers.push_back(std::make_unique<Server>(server, server.is_tls ? tls.get() : nullptr,
                                               is_named ? settings.tls->server_name : server.host, settings.idle_timeout, context, wheel));
  }
}

std::string_view Upstream::Impl::keep_detail(const Error& error) {
  const auto known = details.find(error.detail);
  if (known != details.end()) return *known;
  if (details.size() >= kDetailsMax) return name(error.fault);
  return *details.insert(error.detail).first;
}

Upstream::Upstream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Upstream::~Upstream() = default;

Result<std::shared_ptr<Upstream>> Upstream::create(UpstreamSettings settings, boost::asio::io_context& context,
                                                   transport::DeadlineWheel& wheel) {
  if (settings.servers.empty()) return make_error(Fault::malformed, "upstream " + settings.name + " has no servers");
  transport::SslContext tls;
  if (std::any_of(settings.servers.begin(), settings.servers.end(), [](const ServerSettings& server) { return server.is_tls; })) {
    Result<transport::SslContext> made = transport::make_tls_client_context(settings.tls.value_or(transport::UpstreamTlsSettings{}));
    if (!made) return made.error();
    tls = std::move(*made);
  }
  auto impl = std::make_unique<Impl>(std::move(settings), std::move(tls), context, wheel);
  return std::shared_ptr<Upstream>(new Upstream(std::move(impl)));
}

const UpstreamSettings& Upstream::settings() const noexcept { return impl_->settings; }

std::size_t Upstream::idle_connections() const noexcept {
  std::size_t count = 0;
  for (const auto& server : impl_->servers) count += server->pool.size();
  return count;
}

void Upstream::close_idle() {
  for (const auto& server : impl_->servers) server->pool.clear();
}

}  // namespace sallyport::upstream
