// RESP2 (https://redis.io/docs/reference/protocol-spec/): commands out, replies in. hiredis decodes arrays, but only those whose frame was
// found whole and within the limits before: by itself it takes counts of any size (and cuts them to 32 bits) and knows no end of waiting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.hpp"
#include "base/result.hpp"

struct redisReader;

namespace sallyport::store {

// Appends one command; its words may hold any bytes. std::bad_alloc leaves `out` as it was.
void append_command(ByteBuffer& out, std::span<const std::string_view> words);
inline void append_command(ByteBuffer& out, std::initializer_list<std::string_view> words) {
  append_command(out, std::span(words.begin(), words.size()));
}

struct RedisReply {
  enum class Kind : std::uint8_t { nil, status, error, integer, string, array } kind = Kind::nil;
  std::string text;  // of status, error and string
  std::int64_t integer = 0;
  std::vector<RedisReply> elements;  // of an array

  // nullptr, nullopt: it is of another kind.
  [[nodiscard]] const std::string* string() const noexcept { return kind == Kind::string ? &text : nullptr; }
  [[nodiscard]] const std::vector<RedisReply>* array() const noexcept { return kind == Kind::array ? &elements : nullptr; }
  [[nodiscard]] std::optional<std::int64_t> number() const noexcept {
    return kind == Kind::integer ? std::optional(integer) : std::nullopt;
  }
  [[nodiscard]] bool is_nil() const noexcept { return kind == Kind::nil; }
  [[nodiscard]] bool is_error() const noexcept { return kind == Kind::error; }
  [[nodiscard]] bool is_ok() const noexcept { return kind == Kind::status && text == "OK"; }
};

struct RedisReplyLimits {
  std::size_t bytes_max = 8 * 1024 * 1024;            // of one reply with its framing
  std::size_t elements_max = 64 * 1024;               // of all its arrays together
  std::size_t depth_max = 6;                          // arrays within arrays; the outermost counts as 1
  static constexpr std::size_t kLineMax = 64 * 1024;  // of a status or error; numbers and lengths are never longer than 20 digits
};

// Finds out how far the first reply of a run of bytes reaches, looking at each byte once, however small the pieces it comes in.
class RedisFrameScanner {
 public:
  enum class State : std::uint8_t { incomplete, complete, broken };

  explicit RedisFrameScanner(const RedisReplyLimits& limits) : limits_(limits) { open_.push_back(1); }

  // `bytes` begins with the reply, and with all that was given before. After `complete` and `broken`: begin again.
  [[nodiscard]] State scan(std::string_view bytes);
  [[nodiscard]] std::size_t size() const noexcept { return at_; }  // of a complete reply
  // Of a broken one: too_large or malformed, and why in static storage.
  [[nodiscard]] Fault fault() const noexcept { return fault_; }
  [[nodiscard]] std::string_view problem() const noexcept { return problem_; }
  void begin_again();

 private:
  [[nodiscard]] State broken(Fault fault, std::string_view problem) noexcept;
  [[nodiscard]] State scan_item(std::string_view bytes);
  [[nodiscard]] State scan_bulk(std::string_view bytes, std::size_t body_at, std::string_view digits);
  [[nodiscard]] State scan_array(std::size_t body_at, std::string_view digits);
  [[nodiscard]] State item_done(std::size_t next) noexcept;

  RedisReplyLimits limits_;
  std::size_t at_ = 0;      // the item that is looked at now
  std::size_t looked_ = 0;  // how far its line was searched for the end
  std::size_t needed_ = 1;  // nothing can be said before that many bytes are there
  std::size_t elements_ = 0;
  std::vector<std::size_t> open_;  // items still to come: of the whole, then of each array that is open
  Fault fault_ = Fault::malformed;
  std::string_view problem_;
};

// Replies out of a stream of bytes. Belongs to one connection; broken once, broken for good.
class RedisReplyDecoder {
 public:
  explicit RedisReplyDecoder(const RedisReplyLimits& limits = {});
  ~RedisReplyDecoder();
  RedisReplyDecoder(const RedisReplyDecoder&) = delete;
  RedisReplyDecoder& operator=(const RedisReplyDecoder&) = delete;

  // Where to read the next bytes into; commit() says how many came.
  [[nodiscard]] std::span<char> room();
  void commit(std::size_t bytes) noexcept { input_.commit(bytes); }
  void feed(std::string_view bytes) { input_.append(bytes); }

  // nullopt: the next reply is not complete yet. Fault::malformed: this is no RESP2; too_large: over a limit.
  [[nodiscard]] Result<std::optional<RedisReply>> next();

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const noexcept;
  };
  [[nodiscard]] Result<std::optional<RedisReply>> decode(std::string_view frame);
  [[nodiscard]] Result<std::optional<RedisReply>> decode_array(std::string_view frame);

  static constexpr std::size_t kReadSize = 16 * 1024;
  static constexpr std::size_t kKeptMax = 256 * 1024;  // a buffer that grew beyond it is given back when it is empty

  ByteBuffer input_;
  RedisFrameScanner scanner_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  std::optional<Error> failure_;
};

}  // namespace sallyport::store
