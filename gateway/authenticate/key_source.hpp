// Where the keys of one issuer come from: a file that was read at load, or a URL that is fetched in the background.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "authenticate/keyed_hash.hpp"
#include "authenticate/keys.hpp"
#include "base/clock.hpp"
#include "base/task.hpp"

namespace sallyport::authenticate {

struct KeySourceLimits {
  std::size_t waiters_max = 1'000;                 // requests that wait for one fetch
  std::chrono::milliseconds patience{2'000};       // of each of them
  std::chrono::milliseconds ask_interval{10'000};  // between two fetches that requests cause
  std::size_t unknown_max = 1'024;                 // key ids that are remembered to be none
  // No longer than `ask_interval`: who guesses the issuer's next key id must not keep that key from being asked for when it comes.
  std::chrono::milliseconds unknown_for{10'000};
};

// Any thread. Verified tokens are remembered with the generation of the keys that verified them: a warm request reads one atomic number.
//
// Of a fetched source (app/key_fetcher.hpp is its fetcher): a request whose key is not there may wait for one fetch, which all that wait
// share; the fetches that requests cause are `ask_interval` apart, whatever they ask for. An id that such a fetch did not bring is
// remembered until the next may begin, so that asking for it meanwhile costs nothing.
class KeySource {
 public:
  using KeysPtr = std::shared_ptr<const KeySet>;

  // Of a file: these keys, for good.
  explicit KeySource(KeySet keys);
  // To be fetched; without keys until publish().
  explicit KeySource(const KeySourceLimits& limits);
  ~KeySource();
  KeySource(const KeySource&) = delete;
  KeySource& operator=(const KeySource&) = delete;

  struct Current {
    KeysPtr keys;  // nullptr: none yet; nothing can be said about a token (503)
    std::uint64_t generation = 0;
  };
  [[nodiscard]] Current current() const;
  [[nodiscard]] KeysPtr keys() const { return current().keys; }
  // Moves when the keys change. Never 0 once there are keys.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
  [[nodiscard]] bool is_fetched() const noexcept { return is_fetched_; }

  // What can be said of a token whose key is not among the keys.
  enum class Prospect : unsigned char {
    none,          // what is there is all there is: the key does not exist
    unavailable,   // it cannot be asked now: the last fetch failed, nobody fetches, or too many wait already
    worth_asking,  // ask() may bring it
  };
  [[nodiscard]] Prospect prospect(const std::optional<std::string>& key_id, MonotonicTime now) const;

  // Waits for a fetch that began after the call, and has one begun when it may. True: it brought an answer, and keys() says what there is;
  // false: it failed, took too long, or may not be had. At most `patience`. `source` is not null.
  [[nodiscard]] static Task<bool> ask(std::shared_ptr<KeySource> source, std::optional<std::string> key_id);

  // For the fetcher.

  // `on_wanted` is called by a request that wants a fetch, on its thread and under the source's lock: it may do nothing but post. Until
  // then, and after detach(), nothing can be asked.
  void attach(std::function<void()> on_wanted);
  // Whoever waits gets no answer.
  void detach();
  // A fetch begins and ends. `answered`: what keys() holds is what the issuer has now. A source that came while it was under way hears of
  // its end only, and refuses no key by it: it may have left the issuer before the key was there.
  void begin_fetch();
  void end_fetch(bool answered);
  // `fingerprint` stands for the content: the same again changes nothing but the time. True when the keys changed.
  bool publish(KeysPtr keys, const Sha256& fingerprint, WallTime fetched_at);
  // What was published last; nullopt when nothing was.
  struct Published {
    KeysPtr keys;
    Sha256 fingerprint;
    WallTime fetched_at;
  };
  [[nodiscard]] std::optional<Published> published() const;
  // Whether a request wants a fetch that has not begun.
  [[nodiscard]] bool is_wanted() const;

 private:
  struct Waiter;
  struct Turn;
  enum class Fetching : unsigned char { idle, wanted, running };

  // Under mutex_.
  [[nodiscard]] bool knows(const std::optional<std::string>& key_id) const noexcept;
  [[nodiscard]] bool is_known_to_be_none(const std::optional<std::string>& key_id, MonotonicTime now) const;
  void remember_none(const std::optional<std::string>& key_id, MonotonicTime now);
  void wake_all(bool answered, bool began);

  const bool is_fetched_;
  const KeySourceLimits limits_;
  const KeyedHash hash_;
  std::atomic<std::uint64_t> generation_{0};

  mutable std::mutex mutex_;  // never on the road of a request whose token is remembered
  KeysPtr keys_;
  std::optional<Sha256> fingerprint_;
  std::optional<WallTime> fetched_at_;
  std::function<void()> on_wanted_;
  Fetching fetching_ = Fetching::idle;
  bool last_answered_ = false;
  std::optional<MonotonicTime> last_asked_;
  std::unordered_map<std::uint64_t, MonotonicTime> unknown_;  // hash of the id -> until when
  std::vector<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace sallyport::authenticate
