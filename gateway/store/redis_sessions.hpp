// Reading sessions out of Redis.
#pragma once

#include <memory>
#include <optional>

#include "store/redis_client.hpp"

namespace sallyport::store {

// By a script, which also reads Redis' clock. As Store::find_session().
[[nodiscard]] Task<Result<std::optional<Session>>> find_redis_session(std::shared_ptr<RedisClient> client, Digest key);

// The session in the answer to kFindSession about `key`; uses its record up.
[[nodiscard]] Result<std::optional<Session>> session_in(const std::shared_ptr<RedisClient>& client, RedisClient::Answer& answer,
                                                        const Digest& key);

// The same by bare commands, as Store::seek_session(). False: Redis' clock was not read lately, or nothing can be sent now.
[[nodiscard]] bool seek_redis_session(const std::shared_ptr<RedisClient>& client, const Digest& key, std::shared_ptr<SessionSeeker> seeker,
                                      MonotonicTime now);

}  // namespace sallyport::store
