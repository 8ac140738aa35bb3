#include "app/open_store.hpp"

#include "app/shared_keys.hpp"

namespace sallyport::app {

Result<std::unique_ptr<store::StoreService>> open_store(const store::StoreSettings& settings,
                                                        const store::StoreSurroundings& surroundings) {
  return settings.redis ? store::open_redis_store(settings, surroundings) : store::open_embedded_store(settings, surroundings);
}

OpenedStore::OpenedStore(const Settings& settings)
    : writer_({observe::Sink::Kind::standard_error, {}}, observe::LogSettings::kQueueBytesMax),
      log_(writer_, observe::Level::error, clock_),
      wheel_(context_),
      revocations_(settings.revocations_max),
      tasks_(context_, [this](std::string_view what) { log_.event(observe::Level::error, "task_failed", what); }) {}

OpenedStore::~OpenedStore() {
  store_.reset();
  if (service_) service_->stop();
  wheel_.stop();
  context_.restart();
  context_.poll();
}

Result<std::unique_ptr<OpenedStore>> OpenedStore::open(const Settings& settings) {
  if (!settings.store.redis && settings.store.path.empty()) {
    return make_error(Fault::unavailable, "the store is in the memory of the gateway, which does not answer");
  }
  std::unique_ptr<OpenedStore> opened(new OpenedStore(settings));
  Result<std::unique_ptr<store::StoreService>> service =
      open_store(settings.store, {opened->context_, opened->wheel_, opened->revocations_, opened->log_, opened->clock_});
  if (!service) return service.error();
  opened->service_ = std::move(*service);
  opened->store_ = opened->service_->attach(opened->context_, opened->wheel_, opened->listener_, opened->metrics_);
  opened->wait_for_channel();
  if (!opened->store_->hears_changes(opened->clock_.monotonic_now())) {
    const std::string trouble = opened->service_->trouble();
    return make_error(Fault::unavailable, trouble.empty() ? "the store does not answer" : trouble);
  }
  return opened;
}

// A connection takes its time, and what was revoked is known only once it was heard.
void OpenedStore::wait_for_channel() {
  const MonotonicTime deadline = clock_.monotonic_now() + kPatience;
  while (!store_->hears_changes(clock_.monotonic_now()) && clock_.monotonic_now() < deadline) {
    if (context_.stopped()) context_.restart();
    context_.run_one_for(kLookInterval);
  }
}

Result<authenticate::TagKeysPtr> OpenedStore::keys(const Settings& settings) {
  if (!settings.session_secret_files.empty()) return read_shared_keys(settings.session_secret_files);
  return ask(agree_on_keys(*store_));
}

}  // namespace sallyport::app
