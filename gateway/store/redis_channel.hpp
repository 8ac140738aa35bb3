// The process's ear: one connection that brings what changed and what was revoked, on the control thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/redis_client.hpp"
#include "store/redis_connection.hpp"
#include "store/redis_records.hpp"

namespace sallyport::store {

// Connects, replays the revocations that were missed, subscribes, and tells the audience. RESP2 lets a subscribed connection do nothing
// else, so the last page of the replay and the subscription are one transaction: nothing falls between them, and no second connection is
// needed.
class RedisChannel : public std::enable_shared_from_this<RedisChannel> {
 public:
  RedisChannel(std::shared_ptr<const RedisSetup> setup, std::shared_ptr<RedisAudience> audience, boost::asio::io_context& control);

  void start();
  void stop();
  // Why changes or revocations may be missed now; empty when none are.
  [[nodiscard]] std::string trouble() const;

 private:
  // Entries of the stream that are asked for at once: few enough that the longest values fit into a reply.
  static constexpr std::size_t kPage = 128;
  // A replay after a reconnect begins that much before the last entry that was seen: a master that took over may be behind in time, and
  // adding a revocation twice changes nothing.
  static constexpr std::chrono::minutes kReplayMargin{10};
  static constexpr std::chrono::seconds kForgetEvery{10};

  struct Ping {
    std::uint64_t number;
    MonotonicTime sent_at;
  };

  static Task<void> listen(std::shared_ptr<RedisChannel> self);
  static Task<Result<void>> open(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection);
  static Task<Result<void>> subscribe(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection, std::string from);
  static Task<void> inspect(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection);
  static Task<void> beat(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection);

  // Adds a page's revocations. The id of the last one; empty: there was none.
  [[nodiscard]] Result<std::string> replay(const RedisReply& page);
  void heard(RedisReply push);
  void heard_pong(const RedisReply& number);
  [[nodiscard]] bool heard_invalidation(RedisReply& keys);
  void heard_revocation(std::string_view text);
  void add(const RevocationRecord& record, std::int64_t now);
  void forget_old();
  void went_down(std::string why);
  void warn_of_version(std::string_view info);

  std::shared_ptr<const RedisSetup> setup_;
  std::shared_ptr<RedisAudience> audience_;
  boost::asio::io_context& context_;
  transport::DeadlineWheel wheel_;
  TaskGroup tasks_;
  RedisTimer backoff_timer_;
  RedisTimer beat_timer_;
  std::shared_ptr<RedisConnection> connection_;  // subscribed
  std::int64_t client_id_ = 0;
  std::int64_t redis_now_ = 0;  // Redis' clock when the replay began
  std::optional<StreamId> last_seen_;
  std::deque<Ping> pings_;  // without an answer yet
  std::uint64_t pings_sent_ = 0;
  MonotonicTime fresh_until_{};
  MonotonicTime forgot_at_{};
  std::string trouble_;
  bool list_was_full_ = false;
  bool inspected_ = false;
  bool stopped_ = false;
};

}  // namespace sallyport::store
