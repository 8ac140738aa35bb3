// RESP2 replies out of bytes that anybody may send: what is decoded is what was sent, whatever pieces it came in.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "require.hpp"
#include "store/redis_codec.hpp"
#include "store/redis_records.hpp"

namespace {

using sallyport::require;
using sallyport::Result;
using sallyport::store::RedisReply;
using sallyport::store::RedisReplyDecoder;
using sallyport::store::RedisReplyLimits;

constexpr RedisReplyLimits kLimits{.bytes_max = 4096, .elements_max = 256, .depth_max = 6};

// The only spelling of a reply, nil aside.
void print(const RedisReply& reply, std::string& out) {
  switch (reply.kind) {
    case RedisReply::Kind::nil: out += "$-1\r\n"; return;
    case RedisReply::Kind::status: out += "+" + reply.text + "\r\n"; return;
    case RedisReply::Kind::error: out += "-" + reply.text + "\r\n"; return;
    case RedisReply::Kind::integer: out += ":" + std::to_string(reply.integer) + "\r\n"; return;
    case RedisReply::Kind::string: out += "$" + std::to_string(reply.text.size()) + "\r\n" + reply.text + "\r\n"; return;
    case RedisReply::Kind::array:
      out += "*" + std::to_string(reply.elements.size()) + "\r\n";
      for (const RedisReply& element : reply.elements) print(element, out);
      return;
  }
}

struct Decoded {
  std::vector<std::string> replies;
  bool broken = false;
};

std::size_t elements(const RedisReply& reply) {
  std::size_t count = reply.elements.size();
  for (const RedisReply& element : reply.elements) count += elements(element);
  return count;
}
std::size_t depth(const RedisReply& reply) {
  std::size_t deepest = 0;
  for (const RedisReply& element : reply.elements) deepest = std::max(deepest, depth(element));
  return reply.elements.empty() ? 0 : deepest + 1;
}

Decoded decode(std::string_view bytes, std::size_t piece) {
  Decoded decoded;
  RedisReplyDecoder decoder(kLimits);
  while (!bytes.empty() && !decoded.broken) {
    const std::string_view next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    decoder.feed(next);
    for (;;) {
      Result<std::optional<RedisReply>> reply = decoder.next();
      if (!reply) {
        decoded.broken = true;
        require(!decoder.next(), "broken once is broken for good");
        break;
      }
      if (!reply->has_value()) break;
      require(elements(**reply) <= kLimits.elements_max, "no more elements than the limit");
      require(depth(**reply) <= kLimits.depth_max, "no deeper than the limit");
      std::string text;
      print(**reply, text);
      require(text.size() <= kLimits.bytes_max, "no longer than the limit");
      decoded.replies.push_back(std::move(text));
    }
  }
  return decoded;
}

// "*-1" is the other spelling of nil.
std::string with_one_nil(std::string text) {
  std::size_t at = 0;
  while ((at = text.find("*-1\r\n", at)) != std::string::npos) text[at] = '$';
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Decoded whole = decode(input, size == 0 ? 1 : size);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}}) {
    const Decoded parts = decode(input, piece);
    require(parts.broken == whole.broken && parts.replies == whole.replies, "the pieces do not matter");
  }
  std::string spelled;
  for (const std::string& reply : whole.replies) spelled += reply;
  require(with_one_nil(std::string(input.substr(0, spelled.size()))) == with_one_nil(spelled), "every byte is in the reply");

  // What such replies hold, read by who believes nothing.
  const sallyport::store::Digest key{};
  const auto session = sallyport::store::parse_session_record(std::string(input), key, 1000);
  if (session && *session) {
    require(!(*session)->subject.empty() && (*session)->key == key, "a session is somebody's");
    require((*session)->idle_left.count() > 0 && (*session)->idle_left <= (*session)->absolute_left, "a session has time left");
  }
  const auto message = sallyport::store::parse_revocation_message(input);
  if (message) require(message->record.revocation.issued_before.has_value(), "a revocation has its moment");
  return 0;
}
