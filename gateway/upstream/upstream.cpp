#include "upstream/upstream.hpp"

#include "base/secret.hpp"
#include "upstream/upstream_impl.hpp"

namespace sallyport::upstream {

Upstream::Impl::Impl(SharedUpstreamPtr shared_upstream, boost::asio::io_context& io_context, transport::DeadlineWheel& wheel)
    : shared(std::move(shared_upstream)),
      settings(shared->settings()),
      counts(shared->add_worker()),
      context(io_context),
      balancer(settings.balance, settings.servers, random_u64()) {
  servers.reserve(settings.servers.size());
  for (std::size_t i = 0; i < settings.servers.size(); ++i) {
    const ServerSettings& server = settings.servers[i];
    servers.push_back(std::make_unique<Server>(server, server.is_tls ? shared->tls() : nullptr, shared->tls_name(i), settings.idle_timeout,
                                               context, wheel));
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
  Result<SharedUpstreamPtr> shared = SharedUpstream::create(std::move(settings));
  if (!shared) return shared.error();
  return create(std::move(*shared), context, wheel);
}

std::shared_ptr<Upstream> Upstream::create(SharedUpstreamPtr shared, boost::asio::io_context& context, transport::DeadlineWheel& wheel) {
  return std::shared_ptr<Upstream>(new Upstream(std::make_unique<Impl>(std::move(shared), context, wheel)));
}

const UpstreamSettings& Upstream::settings() const noexcept { return impl_->settings; }
const SharedUpstreamPtr& Upstream::shared() const noexcept { return impl_->shared; }

std::size_t Upstream::idle_connections() const noexcept {
  std::size_t count = 0;
  for (const auto& server : impl_->servers) count += server->pool.size();
  return count;
}

void Upstream::close_idle() {
  for (const auto& server : impl_->servers) server->pool.clear();
}

}  // namespace sallyport::upstream
