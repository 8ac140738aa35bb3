// Handing everything over to a successor, and taking it over as one.
#include <fcntl.h>

#include <thread>

#include <fmt/format.h>

#include "app/gateway.hpp"

namespace sallyport::app {

using observe::Level;

// As a successor: everything that may fail has been done, so the one before us may step back from a file that only one can have.
Result<std::unique_ptr<store::StoreService>> Gateway::open_store_in_turn() {
  const store::StoreSurroundings surroundings{control_, wheel_, revocations_, log_, clock_};
  const bool is_exclusive = !settings_->store.redis && !settings_->store.path.empty();
  if (!inherited_.predecessor.exists() || !is_exclusive) return open_store(settings_->store, surroundings);
  inherited_.predecessor.say_wants_store();
  const MonotonicTime end = clock_.monotonic_now() + kSuccessorPatience;
  for (;;) {
    Result<std::unique_ptr<store::StoreService>> opened = open_store(settings_->store, surroundings);
    const bool is_held = !opened && opened.error().fault == Fault::unavailable;
    if (!is_held || clock_.monotonic_now() >= end) return opened;
    std::this_thread::sleep_for(kPoll);
  }
}

// Of our own: whatever becomes of the listeners, what waits in these queues is not lost.
std::vector<listen::UniqueDescriptor> Gateway::listening_sockets() const {
  std::vector<listen::UniqueDescriptor> sockets;
  const auto add = [&](const listen::SharedListener& listener) {
    for (const int descriptor : listener.descriptors()) sockets.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  };
  for (const std::shared_ptr<listen::SharedListener>& listener : listeners_) add(*listener);
  if (admin_shared_) add(*admin_shared_);
  std::erase_if(sockets, [](const listen::UniqueDescriptor& socket) { return !socket; });
  return sockets;
}

Task<void> Gateway::hand_over() {
  if (state_ != State::serving || is_handing_over_) {
    log_.event(Level::warning, "restart_refused", state_ == State::serving ? "a successor is being started" : "the gateway does not serve");
    co_return;
  }
  is_handing_over_ = true;
  struct Done {
    bool& is_handing_over;
    ~Done() { is_handing_over = false; }
  } const done_with_it{is_handing_over_};
  const std::vector<listen::UniqueDescriptor> sockets = listening_sockets();
  // Once we have stepped back there is no way but forward: then another one is tried.
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    Task<bool> trying = hand_over_to_one(sockets);
    const bool done = co_await std::move(trying);
    if (done || state_ == State::serving) break;
  }
}

Task<bool> Gateway::hand_over_to_one(const std::vector<listen::UniqueDescriptor>& sockets) {
  std::vector<int> descriptors;
  for (const listen::UniqueDescriptor& socket : sockets) descriptors.push_back(socket.get());
  Result<std::unique_ptr<Successor>> started = Successor::start(control_, own_command_line(), descriptors);
  if (!started) {
    log_.event(Level::error, "restart_failed", started.error().detail);
    co_return false;
  }
  Successor& successor = **started;
  successor_ = &successor;
  struct Done {
    Successor*& successor;
    ~Done() { successor = nullptr; }
  } const done_with_it{successor_};
  log_.event(Level::info, "restart_begun", fmt::format("the successor is process {}", successor.pid()));
  Task<Successor::Word> hearing = successor.hear(kSuccessorPatience);
  Successor::Word word = co_await std::move(hearing);
  if (word == Successor::Word::wants_store && !told_to_stop_) {
    step_back();
    Task<void> giving_up = give_store_up();
    co_await std::move(giving_up);
    Task<Successor::Word> hearing_again = successor.hear(kSuccessorPatience);
    word = co_await std::move(hearing_again);
  }
  if (told_to_stop_) {  // and so was he: if he serves already, he finishes his requests as we do
    successor.release();
    log_.event(Level::warning, "restart_failed", fmt::format("the gateway was told to stop; so was process {}", successor.pid()));
    co_return true;
  }
  if (word != Successor::Word::ready) {
    const std::string_view why = word == Successor::Word::silent ? "the successor was not ready in time" : "the successor did not come up";
    log_.event(Level::error, "restart_failed",
               fmt::format("{}: {}; {}", why, successor.end(), state_ == State::serving ? "this process goes on" : "another one is tried"));
    co_return false;
  }
  successor.release();
  service_manager_.main_process(successor.pid());
  log_.event(Level::info, "restart_done", fmt::format("process {} serves; requests under way here finish", successor.pid()));
  step_back();
  co_return true;
}

// From now on the successor has the sockets for itself. Clients on kept connections are told to come again.
void Gateway::step_back() {
  if (admin_listener_) admin_listener_->stop_accepting();
  if (state_ == State::draining) return;
  begin_drain(settings_->drain_timeout, kIdlePatience);
}

Task<void> Gateway::give_store_up() {
  const MonotonicTime end = clock_.monotonic_now() + kStoreGrace;
  while (workers_undrained_ != 0 && clock_.monotonic_now() < end) co_await pause(control_.get_executor(), kPoll);
  if (store_service_) store_service_->let_go();
}

}  // namespace sallyport::app
