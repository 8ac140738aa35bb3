// A suspended coroutine, kept until it may go on.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

namespace sallyport {

// A suspended coroutine (any Asio completion handler of void()), kept without an allocation. Moved from and empty when it has run.
class Waiter {
 public:
  Waiter() = default;
  template <class Handler>
    requires(!std::is_same_v<std::decay_t<Handler>, Waiter>)
  explicit Waiter(Handler&& handler) {
    using Stored = std::decay_t<Handler>;
    static_assert(sizeof(Stored) <= kBytes && alignof(Stored) <= alignof(void*));
    new (storage_) Stored(std::forward<Handler>(handler));
    act_ = &act<Stored>;
  }
  Waiter(Waiter&& other) noexcept { take(other); }
  Waiter& operator=(Waiter&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~Waiter() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return act_ != nullptr; }
  // Runs it, and is empty.
  void operator()() {
    const auto act = std::exchange(act_, nullptr);
    act(Action::run, storage_, nullptr);
  }
  void reset() noexcept {
    if (act_ != nullptr) std::exchange(act_, nullptr)(Action::destroy, storage_, nullptr);
  }

 private:
  enum class Action { run, move, destroy };
  static constexpr std::size_t kBytes = 4 * sizeof(void*);

  template <class Stored>
  static void act(Action action, void* storage, void* target) {
    Stored& stored = *std::launder(static_cast<Stored*>(storage));
    if (action == Action::destroy) {
      stored.~Stored();
      return;
    }
    Stored moved(std::move(stored));
    stored.~Stored();
    if (action == Action::run) {
      std::move(moved)();
    } else {
      new (target) Stored(std::move(moved));
    }
  }
  void take(Waiter& other) noexcept {
    act_ = std::exchange(other.act_, nullptr);
    if (act_ != nullptr) act_(Action::move, other.storage_, storage_);
  }

  alignas(void*) unsigned char storage_[kBytes];
  void (*act_)(Action, void* storage, void* target) = nullptr;
};

}  // namespace sallyport
