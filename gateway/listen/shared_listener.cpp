#include "listen/shared_listener.hpp"

#include <sys/resource.h>

#include "listen/socket_address.hpp"

namespace sallyport::listen {
namespace {

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // where it fails, the old limit goes on to be respected
}

}  // namespace

Result<std::shared_ptr<SharedListener>> SharedListener::create(ListenerSettings settings, const Clock& clock) {
  raise_descriptor_limit();
  Result<SocketAddress> address = SocketAddress::parse(settings.host, settings.port);
  if (!address) return address.error();
  if (settings.port != 0) {
    const Result<UniqueDescriptor> probe = bind_tcp(*address, Share::no);
    if (!probe) return probe.error();
  }
  std::shared_ptr<SharedListener> made(new SharedListener(std::move(settings)));
  if (made->settings_.tls) {
    Result<std::unique_ptr<TlsServerContext>> tls = TlsServerContext::create(*made->settings_.tls, made->settings_.name, clock);
    if (!tls) return tls.error();
    made->tls_ = std::move(*tls);
  }
  return made;
}

std::vector<std::pair<std::string, WallTime>> SharedListener::certificate_expiry() const {
  return tls_ ? tls_->certificate_expiry() : std::vector<std::pair<std::string, WallTime>>{};
}

SharedListener::Slot SharedListener::take_slot() noexcept {
  if (connections_.fetch_add(1, std::memory_order_relaxed) < settings_.connections_max) return Slot(&connections_);
  connections_.fetch_sub(1, std::memory_order_relaxed);
  return {};
}

}  // namespace sallyport::listen
