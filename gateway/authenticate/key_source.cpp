#include "authenticate/key_source.hpp"

#include <algorithm>

#include <boost/asio/post.hpp>

#include "base/timer.hpp"

namespace sallyport::authenticate {
namespace {

// Absent and empty are two things, and both may be asked for.
std::string_view text_of(const std::optional<std::string>& key_id) noexcept {
  return key_id ? std::string_view(*key_id) : std::string_view("\0none", 5);
}

}  // namespace

// One request that waits, on its own worker's thread.
struct KeySource::Waiter {
  explicit Waiter(const Executor& on) : executor(on), timer(on) {}
  Executor executor;
  Timer timer;
  bool woken = false;  // both are written and read on the executor's thread alone
  bool answered = false;
  bool began = false;  // the fetch that answered, after the source was there
};

// A waiter's place in the list, given back also when the coroutine is destroyed in its wait.
struct KeySource::Turn {
  KeySource& source;
  std::shared_ptr<Waiter> waiter;
  ~Turn() {
    if (waiter == nullptr) return;
    const std::lock_guard lock(source.mutex_);
    std::erase(source.waiters_, waiter);
  }
};

KeySource::KeySource(KeySet keys) : is_fetched_(false), generation_(1), keys_(std::make_shared<const KeySet>(std::move(keys))) {}

KeySource::KeySource(const KeySourceLimits& limits) : is_fetched_(true), limits_(limits) {}

KeySource::~KeySource() = default;

KeySource::Current KeySource::current() const {
  const std::lock_guard lock(mutex_);
  return {keys_, generation_.load(std::memory_order_relaxed)};
}

std::optional<KeySource::Published> KeySource::published() const {
  const std::lock_guard lock(mutex_);
  if (keys_ == nullptr || !fingerprint_ || !fetched_at_) return std::nullopt;
  return Published{keys_, *fingerprint_, *fetched_at_};
}

bool KeySource::is_wanted() const {
  const std::lock_guard lock(mutex_);
  return fetching_ == Fetching::wanted;
}

bool KeySource::knows(const std::optional<std::string>& key_id) const noexcept {
  return keys_ != nullptr && key_id && keys_->has_key_id(*key_id);
}

bool KeySource::is_known_to_be_none(const std::optional<std::string>& key_id, MonotonicTime now) const {
  const auto found = unknown_.find(hash_(text_of(key_id)));
  return found != unknown_.end() && now < found->second;
}

void KeySource::remember_none(const std::optional<std::string>& key_id, MonotonicTime now) {
  if (unknown_.size() >= limits_.unknown_max) {
    std::erase_if(unknown_, [now](const auto& entry) { return entry.second <= now; });
    // Full of others: the interval between fetches bounds what this one can cause.
    if (unknown_.size() >= limits_.unknown_max) return;
  }
  unknown_[hash_(text_of(key_id))] = now + limits_.unknown_for;
}

KeySource::Prospect KeySource::prospect(const std::optional<std::string>& key_id, MonotonicTime now) const {
  if (!is_fetched_) return Prospect::none;
  const std::lock_guard lock(mutex_);
  if (keys_ != nullptr && is_known_to_be_none(key_id, now)) return Prospect::none;
  if (!on_wanted_ || waiters_.size() >= limits_.waiters_max) return Prospect::unavailable;
  if (fetching_ != Fetching::idle || !last_asked_ || now >= *last_asked_ + limits_.ask_interval) return Prospect::worth_asking;
  return last_answered_ && keys_ != nullptr ? Prospect::none : Prospect::unavailable;
}

Task<bool> KeySource::ask(std::shared_ptr<KeySource> source, std::optional<std::string> key_id) {
  KeySource& self = *source;
  const Executor executor = co_await boost::asio::this_coro::executor;
  const MonotonicTime until = std::chrono::steady_clock::now() + self.limits_.patience;
  for (;;) {
    Turn turn{self, std::make_shared<Waiter>(executor)};
    Waiter& waiter = *turn.waiter;
    bool is_fresh = true;
    {
      const std::lock_guard lock(self.mutex_);
      const MonotonicTime now = std::chrono::steady_clock::now();
      if (!self.on_wanted_ || self.waiters_.size() >= self.limits_.waiters_max) co_return false;
      if (self.fetching_ == Fetching::idle) {
        if (self.last_asked_ && now < *self.last_asked_ + self.limits_.ask_interval) co_return self.last_answered_;
        self.last_asked_ = now;
        self.fetching_ = Fetching::wanted;
        self.on_wanted_();
      } else {
        // What is on its way may have left the issuer before the key came.
        is_fresh = self.fetching_ == Fetching::wanted;
      }
      self.waiters_.push_back(turn.waiter);
    }
    waiter.timer.expires_at(until);
    auto waited = co_await waiter.timer.async_wait(as_result);
    static_cast<void>(waited);  // woken, too late, or cancelled: `woken` tells
    if (!waiter.woken || !waiter.answered) co_return false;
    const std::lock_guard lock(self.mutex_);
    if (self.knows(key_id)) co_return true;
    if (is_fresh && waiter.began) {
      self.remember_none(key_id, std::chrono::steady_clock::now());
      co_return true;
    }
  }
}

void KeySource::attach(std::function<void()> on_wanted) {
  const std::lock_guard lock(mutex_);
  on_wanted_ = std::move(on_wanted);
}

void KeySource::detach() {
  const std::lock_guard lock(mutex_);
  on_wanted_ = nullptr;
  fetching_ = Fetching::idle;
  wake_all(false, false);
}

void KeySource::begin_fetch() {
  const std::lock_guard lock(mutex_);
  fetching_ = Fetching::running;
}

void KeySource::end_fetch(bool answered) {
  const std::lock_guard lock(mutex_);
  const bool began = fetching_ == Fetching::running;
  fetching_ = Fetching::idle;
  if (began) {
    last_answered_ = answered;
  } else {
    last_asked_.reset();  // what was wanted has not been fetched
  }
  wake_all(answered, began);
}

// Posts under the lock: a waiter that has given its place back may be the last that kept its io_context alive.
void KeySource::wake_all(bool answered, bool began) {
  for (std::shared_ptr<Waiter>& waiter : waiters_) {
    const Executor executor = waiter->executor;
    boost::asio::post(executor, [waiter = std::move(waiter), answered, began] {
      waiter->woken = true;
      waiter->answered = answered;
      waiter->began = began;
      waiter->timer.cancel();
    });
  }
  waiters_.clear();
}

bool KeySource::publish(KeysPtr keys, const Sha256& fingerprint, WallTime fetched_at) {
  const std::lock_guard lock(mutex_);
  fetched_at_ = fetched_at;
  if (keys_ != nullptr && fingerprint_ == fingerprint) return false;
  keys_ = std::move(keys);
  fingerprint_ = fingerprint;
  unknown_.clear();
  // After the keys: whoever sees the number asks for the keys under the lock.
  generation_.fetch_add(1, std::memory_order_release);
  return true;
}

}  // namespace sallyport::authenticate
