// How the store asks Redis and reads what it answers, for redis_store.cpp and redis_sessions.cpp alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "store/redis_client.hpp"

namespace sallyport::store {

// In a function of its own: GCC 12 cannot have braced lists in an expression that awaits.
template <class... Arguments>
RedisClient::Question question_about(const RedisScript& script, std::string key, Arguments... arguments) {
  RedisClient::Question question{&script, std::move(key), {}};
  (question.arguments.push_back(std::move(arguments)), ...);
  return question;
}

inline constexpr std::string_view kSessionKeys = "session";
inline std::string redis_session_key(const RedisClient& client, std::string_view handle) {
  return client.setup().key(kSessionKeys, handle);
}

// A change whose answer was lost may have been made: that is what timed_out says.
inline Error error_of_change(Error error) {
  if (error.fault == Fault::broken) error.fault = Fault::timed_out;
  if (error.fault == Fault::timed_out) error.detail += "; it may have happened";
  return error;
}
inline Error error_of_reading(Error error) {
  if (error.fault == Fault::broken) error.fault = Fault::unavailable;
  return error;
}

// What is off in a record: another key's means that answers and questions do not fit any more; the rest is about that record alone.
inline Error error_of_record(const std::shared_ptr<RedisClient>& client, const RedisClient::Answer& answer, const Error& error) {
  if (error.fault == Fault::mismatch) return client->distrust(answer, error.detail);
  return make_error(Fault::unavailable, "redis: " + error.detail);
}

inline std::optional<std::int64_t> number_in(const RedisClient::Answer& answer, std::size_t index) {
  return index < answer.values.size() ? answer.values[index].number() : std::nullopt;
}

}  // namespace sallyport::store
