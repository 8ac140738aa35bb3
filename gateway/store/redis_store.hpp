// The store in Redis (DESIGN §6). Keys, all below the configured prefix; every one that a script changes has a hash tag of its own:
//   session:{<handle>}        string: a session record, JSON, gone at its idle end
//   family:{<handle>}         hash: a refresh-token family, gone at its end
//   subject:{<SHA-256, hex>}  sorted set: "s:<handle>" and "f:<handle>" by their latest end, written before the record that it leads to
//   secret:{<name>}           string: base64url of a shared secret, with its name
//   rate:{<SHA-256, hex>}     string: when a token bucket will be full again, gone when it is
//   revocations               stream, and the name of the channel that carries the same (of database N > 0: revocations@N)
// What Redis acknowledged is as safe as its own configuration makes it: with `appendonly yes` and `appendfsync always` it survives a crash;
// a failover may lose what was not replicated (`min-replicas-to-write` bounds that). Lives are counted by Redis' clock alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/redis_channel.hpp"
#include "store/redis_client.hpp"
#include "store/store.hpp"

namespace sallyport::store {

class RedisStore final : public Store {
 public:
  explicit RedisStore(std::shared_ptr<RedisClient> client) : client_(std::move(client)) {}
  ~RedisStore() override { client_->stop(); }

  [[nodiscard]] Task<Result<void>> create_session(NewSession session) override;
  [[nodiscard]] Task<Result<std::optional<Session>>> find_session(Digest key) override;
  [[nodiscard]] bool seek_session(const Digest& key, std::shared_ptr<SessionSeeker> seeker, MonotonicTime now) override;
  [[nodiscard]] Task<Result<bool>> touch_session(Digest key, std::chrono::milliseconds idle_timeout) override;
  [[nodiscard]] Task<Result<bool>> end_session(Digest key) override;
  [[nodiscard]] Task<Result<std::vector<Session>>> sessions_of(std::string subject) override;
  [[nodiscard]] Task<Result<std::optional<ForeignSession>>> find_foreign_session(std::string prefix, std::string id) override;
  [[nodiscard]] Task<Result<Family>> create_family(NewFamily family) override;
  [[nodiscard]] Task<Result<Rotation>> rotate_family(Digest key, std::uint64_t presented_generation, RotationRules rules) override;
  [[nodiscard]] Task<Result<bool>> end_family(Digest key) override;
  [[nodiscard]] Task<Result<void>> end_all_of(std::string subject) override;
  [[nodiscard]] Task<Result<void>> revoke(Revocation revocation) override;
  [[nodiscard]] Task<Result<RateAnswer>> limit_rate(RateQuestion question) override;
  [[nodiscard]] Task<Result<Secret>> agree_on_secret(std::string name, Secret proposal) override;
  [[nodiscard]] bool hears_changes(MonotonicTime now) const noexcept override { return client_->hears_changes(now); }

 private:
  std::shared_ptr<RedisClient> client_;  // calls under way keep it
};

class RedisService final : public StoreService {
 public:
  RedisService(std::shared_ptr<const RedisSetup> setup, boost::asio::io_context& control);
  ~RedisService() override { stop(); }

  [[nodiscard]] std::unique_ptr<Store> attach(boost::asio::io_context& context, transport::DeadlineWheel& wheel, ChangeListener& listener,
                                              observe::WorkerMetrics& metrics) override;
  [[nodiscard]] std::string trouble() const override;
  void stop() override { channel_->stop(); }

 private:
  std::shared_ptr<const RedisSetup> setup_;
  std::shared_ptr<RedisAudience> audience_;
  std::shared_ptr<RedisChannel> channel_;
};

}  // namespace sallyport::store
