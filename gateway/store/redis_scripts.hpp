// What is done in Redis, each in one atomic step on keys of one hash slot. Time is Redis' own; lives are kept by PX. Every script answers
// with the key that it was asked about first, so that an answer to another question is found out (hazards N08), and none puts what a
// client said into an error (CVE-2025-67733).
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace sallyport::store {

struct RedisScript {
  std::string_view name;  // the label of sallyport_store_commands_total
  std::string_view body;
  bool is_read_only = false;
};

namespace redis_scripts {

// KEYS[1]: a session. Answers the record or nil, PTTL, now.
inline constexpr RedisScript kFindSession{"find_session", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
return {KEYS[1], redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), now}
)lua",
                                          true};

// KEYS[1]: another application's key. Answers the value or nil, PTTL.
inline constexpr RedisScript kFindForeignSession{"find_foreign_session", R"lua(
return {KEYS[1], redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
)lua",
                                                 true};

// ARGV: handle, subject and claims as JSON, idle and absolute timeout. Answers 1, or 0 when there is one.
// The numbers stand before what the caller wrote, so that touch finds them.
inline constexpr RedisScript kCreateSession{"create_session", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = now + tonumber(ARGV[5])
local idle = math.min(now + tonumber(ARGV[4]), ends)
local record = string.format('{"v":1,"key":"%s","created":%.0f,"ends":%.0f,"idle":%.0f,"seen":%.0f', ARGV[1], now, ends, idle, now)
  .. ',"subject":' .. ARGV[2] .. ',"claims":' .. ARGV[3] .. '}'
if redis.call('SET', KEYS[1], record, 'PXAT', string.format('%.0f', idle), 'NX') then return {KEYS[1], 1} end
return {KEYS[1], 0}
)lua"};

// ARGV: handle, idle timeout. Answers 1; 0 when it is over; -1 when the record is none of ours.
inline constexpr RedisScript kTouchSession{"touch_session", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local record = redis.call('GET', KEYS[1])
if not record then return {KEYS[1], 0} end
local head, ends, idle, tail = string.match(record,
  '^({"v":1,"key":"' .. ARGV[1] .. '","created":%d+,"ends":(%d+),)"idle":(%d+),"seen":%d+(,"subject":.*)$')
if not head or redis.call('PTTL', KEYS[1]) == -1 then return {KEYS[1], -1} end
ends = tonumber(ends)
if now >= ends or now >= tonumber(idle) then
  redis.call('DEL', KEYS[1])
  return {KEYS[1], 0}
end
idle = string.format('%.0f', math.min(now + tonumber(ARGV[2]), ends))
redis.call('SET', KEYS[1], head .. '"idle":' .. idle .. ',"seen":' .. string.format('%.0f', now) .. tail, 'PXAT', idle)
return {KEYS[1], 1}
)lua"};

// Answers how many there were, and the record.
inline constexpr RedisScript kEndSession{"end_session", R"lua(
local record = redis.call('GET', KEYS[1])
return {KEYS[1], redis.call('DEL', KEYS[1]), record}
)lua"};

// KEYS[1]: a subject's index. ARGV: member, its life. What is over goes; the index lives as long as its last member.
inline constexpr RedisScript kIndexAdd{"index_add", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
return {KEYS[1], 1}
)lua"};

// ARGV: offset, count. Answers members that are not over, the first to end first.
inline constexpr RedisScript kIndexList{"index_list", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
return {KEYS[1], redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'LIMIT', ARGV[1], ARGV[2])}
)lua",
                                        true};

// ARGV: members.
inline constexpr RedisScript kIndexRemove{"index_remove", R"lua(
return {KEYS[1], redis.call('ZREM', KEYS[1], unpack(ARGV))}
)lua"};

// KEYS[1]: a family. ARGV: handle, subject, claims as JSON, life of the refresh token and of the family. Answers 1, now and the fields as
// kRotateFamily does; 0 when there is one.
inline constexpr RedisScript kCreateFamily{"create_family", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('EXISTS', KEYS[1]) == 1 then return {KEYS[1], 0, now} end
local started = string.format('%.0f', now)
local ends = string.format('%.0f', now + tonumber(ARGV[5]))
local refresh_ends = string.format('%.0f', now + math.min(tonumber(ARGV[4]), tonumber(ARGV[5])))
redis.call('HSET', KEYS[1], 'v', '1', 'key', ARGV[1], 'generation', '1', 'started', started, 'rotated', started, 'ends', ends,
  'refresh_ends', refresh_ends, 'dead', '0', 'subject', ARGV[2], 'claims', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ends)
return {KEYS[1], 1, now, '1', ARGV[1], '1', started, started, ends, refresh_ends, ARGV[2], ARGV[3]}
)lua"};

// The whole decision about a refresh token. ARGV: handle, presented generation, reuse window, life of a refresh token, channel, and how
// long revocations are kept at most. Answers what became of it and now; after rotated, repeated and reused also v, key, generation,
// started, rotated, ends, refresh_ends, subject, claims. A family that was reused is dead by the time anybody hears of it.
inline constexpr RedisScript kRotateFamily{"rotate_family", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local f = redis.call('HMGET', KEYS[1], 'v', 'key', 'generation', 'started', 'rotated', 'ends', 'refresh_ends', 'subject', 'claims', 'dead')
if redis.call('EXISTS', KEYS[1]) == 0 then return {KEYS[1], 'gone', now} end
for i = 1, 10 do
  if not f[i] then return {KEYS[1], 'foreign', now} end
end
if f[1] ~= '1' or f[2] ~= ARGV[1] then return {KEYS[1], 'foreign', now} end
local generation, rotated, ends, refresh_ends = tonumber(f[3]), tonumber(f[5]), tonumber(f[6]), tonumber(f[7])
if not generation or not rotated or not ends or not refresh_ends then return {KEYS[1], 'foreign', now} end
if f[10] ~= '0' or now >= ends then return {KEYS[1], 'gone', now} end
local presented = tonumber(ARGV[2])
local outcome = 'reused'
if presented == generation then
  outcome = now < refresh_ends and 'rotated' or 'gone'
elseif presented >= 1 and presented + 1 == generation and now - rotated <= tonumber(ARGV[3]) then
  outcome = now < refresh_ends and 'repeated' or 'gone'
end
if outcome == 'gone' then return {KEYS[1], 'gone', now} end
if outcome == 'rotated' then
  f[3] = string.format('%.0f', generation + 1)
  f[5] = string.format('%.0f', now)
  f[7] = string.format('%.0f', math.min(now + tonumber(ARGV[4]), ends))
  redis.call('HSET', KEYS[1], 'generation', f[3], 'rotated', f[5], 'refresh_ends', f[7])
elseif outcome == 'reused' then
  redis.call('HSET', KEYS[1], 'dead', '1')
  redis.call('PUBLISH', ARGV[5], string.format('- {"kind":"family","value":"%s","before":%.0f,"at":%.0f,"keep":%.0f}', ARGV[1], now, now,
    math.min(ends - now, tonumber(ARGV[6]))))
end
return {KEYS[1], outcome, now, f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9]}
)lua"};

// Answers 1 when it lived, else 0, and its subject.
inline constexpr RedisScript kEndFamily{"end_family", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local f = redis.call('HMGET', KEYS[1], 'dead', 'ends', 'subject')
if redis.call('DEL', KEYS[1]) == 0 then return {KEYS[1], 0, false} end
local ends = f[2] and tonumber(f[2])
if f[1] == '0' and ends and now < ends then return {KEYS[1], 1, f[3]} end
return {KEYS[1], 0, f[3]}
)lua"};

// KEYS[1]: the stream. ARGV: channel, kind, value as JSON, issued_before or nothing, how long it matters, how long any is kept. Answers
// the entry's id, issued_before, now.
inline constexpr RedisScript kRevoke{"revoke", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local before = ARGV[4] == '' and now or tonumber(ARGV[4])
local text = '{"kind":"' .. ARGV[2] .. '","value":' .. ARGV[3] .. string.format(',"before":%.0f,"at":%.0f,"keep":', before, now) .. ARGV[5] .. '}'
local id = redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', now - tonumber(ARGV[6])), '*', 'r', text)
redis.call('PUBLISH', ARGV[1], id .. ' ' .. text)
return {KEYS[1], id, before, now}
)lua"};

// ARGV: the proposal. Answers what stands.
inline constexpr RedisScript kAgree{"agree_on_secret", R"lua(
local stands = redis.call('GET', KEYS[1])
if not stands then
  stands = ARGV[1]
  redis.call('SET', KEYS[1], stands)
end
return {KEYS[1], stands}
)lua"};

// KEYS[1]: a token bucket: when it will be full again, in microseconds; gone when it is. ARGV: microseconds of a token and of the whole
// bucket, take, look or charge. Answers 1 when there was a token, else 0, and what is missing now.
inline constexpr RedisScript kLimitRate{"limit_rate", R"lua(
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, fill = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local owed = math.min(math.max(full_at - now, 0), fill)
local allowed = (fill - owed >= interval) and 1 or 0
if ARGV[3] == 'charge' or (ARGV[3] == 'take' and allowed == 1) then
  owed = math.min(owed + interval, fill)
  redis.call('SET', KEYS[1], string.format('%.0f', now + owed), 'PX', string.format('%.0f', math.ceil(owed / 1000) + 1))
end
return {KEYS[1], allowed, owed}
)lua"};

inline constexpr std::array kAll{&kFindSession, &kFindForeignSession, &kCreateSession, &kTouchSession, &kEndSession, &kIndexAdd,
                                 &kIndexList,   &kIndexRemove,        &kCreateFamily,  &kRotateFamily, &kEndFamily,  &kRevoke,
                                 &kAgree,       &kLimitRate};

}  // namespace redis_scripts
}  // namespace sallyport::store
