#include "store/redis_codec.hpp"

#include <hiredis/read.h>

#include <limits>
#include <new>
#include <utility>

#include "base/text.hpp"

namespace sallyport::store {
namespace {

// Digits with an optional '-', no '+', no leading zeros, no "-0", no overflow.
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  const bool is_negative = text.starts_with('-');
  const std::optional<std::uint64_t> size = parse_decimal(text.substr(is_negative ? 1 : 0));
  if (!size || (text[is_negative ? 1 : 0] == '0' && text.size() > 1)) return std::nullopt;
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (*size > (is_negative ? kMax + 1 : kMax)) return std::nullopt;
  return static_cast<std::int64_t>(is_negative ? 0 - *size : *size);
}

// hiredis builds the tree by these. They are called from C: nothing may be thrown through it, and nullptr reads as out of memory.
RedisReply* place_for(const redisReadTask* task) noexcept {
  if (task->parent == nullptr) return new (std::nothrow) RedisReply();
  auto& elements = static_cast<RedisReply*>(task->parent->obj)->elements;
  return static_cast<std::size_t>(task->idx) < elements.size() ? &elements[static_cast<std::size_t>(task->idx)] : nullptr;
}

RedisReply* discard(const redisReadTask* task, RedisReply* reply) noexcept {
  if (task->parent == nullptr) delete reply;
  return nullptr;
}

void* create_string(const redisReadTask* task, char* bytes, std::size_t size) {
  RedisReply* const reply = place_for(task);
  if (reply == nullptr) return nullptr;
  reply->kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::error
                : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::status
                                                   : RedisReply::Kind::string;
  try {
    reply->text.assign(bytes, size);
  } catch (const std::bad_alloc&) {
    return discard(task, reply);
  }
  return reply;
}

void* create_array(const redisReadTask* task, int elements) {
  RedisReply* const reply = place_for(task);
  if (reply == nullptr || elements < 0) return nullptr;
  reply->kind = RedisReply::Kind::array;
  try {
    reply->elements.resize(static_cast<std::size_t>(elements));
  } catch (const std::bad_alloc&) {
    return discard(task, reply);
  }
  return reply;
}

void* create_integer(const redisReadTask* task, long long value) {
  RedisReply* const reply = place_for(task);
  if (reply == nullptr) return nullptr;
  reply->kind = RedisReply::Kind::integer;
  reply->integer = value;
  return reply;
}

void* create_nil(const redisReadTask* task) { return place_for(task); }

void free_reply(void* reply) { delete static_cast<RedisReply*>(reply); }

RedisReply flat_reply(std::string_view frame) {
  constexpr std::size_t kEnd = 2;
  const std::size_t line_end = frame.find('\r');
  const std::string_view line = frame.substr(1, line_end - 1);
  RedisReply reply;
  switch (frame.front()) {
    case '+':
    case '-':
      reply.kind = frame.front() == '+' ? RedisReply::Kind::status : RedisReply::Kind::error;
      reply.text = line;
      break;
    case ':':
      reply.kind = RedisReply::Kind::integer;
      reply.integer = parse_integer(line).value_or(0);  // the scanner has read it before
      break;
    default:
      if (line.front() == '-') break;  // $-1: nil
      reply.kind = RedisReply::Kind::string;
      reply.text = frame.substr(line_end + kEnd, frame.size() - line_end - 2 * kEnd);
  }
  return reply;
}

redisReplyObjectFunctions kFunctions{create_string, create_array, create_integer, create_nil, free_reply};

}  // namespace

void append_command(ByteBuffer& out, std::span<const std::string_view> words) {
  constexpr std::size_t kFrame = 32;  // of a word, and of the array: a type, 20 digits, two line ends
  std::size_t room = kFrame;
  for (const std::string_view word : words) room += kFrame + word.size();
  (void)out.prepare(room);  // nothing below throws
  out.append('*');
  out.append_decimal(words.size());
  for (const std::string_view word : words) {
    out.append("\r\n$");
    out.append_decimal(word.size());
    out.append("\r\n");
    out.append(word);
  }
  out.append("\r\n");
}

void RedisFrameScanner::begin_again() {
  at_ = looked_ = elements_ = 0;
  needed_ = 1;
  open_.assign(1, 1);
  problem_ = {};
}

RedisFrameScanner::State RedisFrameScanner::broken(Fault fault, std::string_view problem) noexcept {
  fault_ = fault;
  problem_ = problem;
  return State::broken;
}

RedisFrameScanner::State RedisFrameScanner::scan(std::string_view bytes) {
  for (;;) {
    if (bytes.size() < needed_) return State::incomplete;
    const State state = scan_item(bytes);
    if (state != State::incomplete) return state;
  }
}

// `incomplete` also when the item is done and another must follow; needed_ tells.
RedisFrameScanner::State RedisFrameScanner::scan_item(std::string_view bytes) {
  const char type = bytes[at_];
  const bool is_text = type == '+' || type == '-';
  if (!is_text && type != ':' && type != '$' && type != '*') return broken(Fault::malformed, "a reply of an unknown type");
  const std::size_t line_max = is_text ? RedisReplyLimits::kLineMax : 20;
  const std::size_t from = std::max(looked_, at_ + 1);
  const std::size_t end = bytes.find('\r', from);
  if ((end == std::string_view::npos ? bytes.size() : end) - at_ - 1 > line_max) return broken(Fault::too_large, "a line over the limit");
  if (end == std::string_view::npos || end + 1 == bytes.size()) {
    looked_ = end == std::string_view::npos ? bytes.size() : end;
    needed_ = bytes.size() + 1;
    return State::incomplete;
  }
  if (bytes[end + 1] != '\n') return broken(Fault::malformed, "a line without its end");
  const std::string_view line = bytes.substr(at_ + 1, end - at_ - 1);
  if (is_text) return line.find('\n') == std::string_view::npos ? item_done(end + 2) : broken(Fault::malformed, "a line without its end");
  if (type == ':') return parse_integer(line) ? item_done(end + 2) : broken(Fault::malformed, "a number that is none");
  return type == '$' ? scan_bulk(bytes, end + 2, line) : scan_array(end + 2, line);
}

RedisFrameScanner::State RedisFrameScanner::scan_bulk(std::string_view bytes, std::size_t body_at, std::string_view digits) {
  const std::optional<std::int64_t> size = parse_integer(digits);
  if (!size || *size < -1) return broken(Fault::malformed, "a length that is none");
  if (*size == -1) return item_done(body_at);
  if (static_cast<std::uint64_t>(*size) > limits_.bytes_max) return broken(Fault::too_large, "a reply over the limit");
  const std::size_t end = body_at + static_cast<std::size_t>(*size);
  if (end + 2 > limits_.bytes_max) return broken(Fault::too_large, "a reply over the limit");
  if (bytes.size() < end + 2) {
    needed_ = end + 2;
    return State::incomplete;
  }
  if (bytes.substr(end, 2) != "\r\n") return broken(Fault::malformed, "a string that is longer than its length");
  return item_done(end + 2);
}

RedisFrameScanner::State RedisFrameScanner::scan_array(std::size_t body_at, std::string_view digits) {
  const std::optional<std::int64_t> count = parse_integer(digits);
  if (!count || *count < -1) return broken(Fault::malformed, "a count that is none");
  if (*count <= 0) return item_done(body_at);
  if (static_cast<std::uint64_t>(*count) > limits_.elements_max - elements_)
    return broken(Fault::too_large, "more elements than the limit");
  if (open_.size() > limits_.depth_max) return broken(Fault::too_large, "arrays nested deeper than the limit");
  elements_ += static_cast<std::size_t>(*count);
  open_.push_back(static_cast<std::size_t>(*count));
  at_ = looked_ = body_at;
  needed_ = body_at + 1;
  return State::incomplete;
}

RedisFrameScanner::State RedisFrameScanner::item_done(std::size_t next) noexcept {
  at_ = looked_ = next;
  if (next > limits_.bytes_max) return broken(Fault::too_large, "a reply over the limit");
  while (!open_.empty() && --open_.back() == 0) open_.pop_back();
  if (open_.empty()) return State::complete;
  needed_ = next + 1;
  return State::incomplete;
}

void RedisReplyDecoder::FreeReader::operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }

RedisReplyDecoder::RedisReplyDecoder(const RedisReplyLimits& limits)
    : scanner_(limits), reader_(redisReaderCreateWithFunctions(&kFunctions)) {
  if (!reader_) throw std::bad_alloc();
}

RedisReplyDecoder::~RedisReplyDecoder() = default;

std::span<char> RedisReplyDecoder::room() { return input_.prepare(kReadSize); }

Result<std::optional<RedisReply>> RedisReplyDecoder::next() {
  if (failure_) return *failure_;
  switch (scanner_.scan(input_.view())) {
    case RedisFrameScanner::State::incomplete: return std::optional<RedisReply>();
    case RedisFrameScanner::State::broken: failure_ = make_error(scanner_.fault(), std::string(scanner_.problem())); return *failure_;
    case RedisFrameScanner::State::complete: break;
  }
  const std::size_t size = scanner_.size();
  Result<std::optional<RedisReply>> reply = decode(input_.view().substr(0, size));
  scanner_.begin_again();
  input_.consume(size);
  if (input_.empty() && input_.capacity() > kKeptMax) input_.release();
  return reply;
}

// Of a frame that was found whole. An array is hiredis' to build; the rest, which cold sessions are answered with, needs no tree.
Result<std::optional<RedisReply>> RedisReplyDecoder::decode(std::string_view frame) {
  return frame.front() == '*' ? decode_array(frame) : std::optional(flat_reply(frame));
}

Result<std::optional<RedisReply>> RedisReplyDecoder::decode_array(std::string_view frame) {
  void* decoded = nullptr;
  if (redisReaderFeed(reader_.get(), frame.data(), frame.size()) != 0 || redisReaderGetReply(reader_.get(), &decoded) != 0 ||
      decoded == nullptr) {
    failure_ = make_error(Fault::malformed, std::string("hiredis: ") + redisReaderGetError(reader_.get()));
    return *failure_;
  }
  const std::unique_ptr<RedisReply> reply(static_cast<RedisReply*>(decoded));
  return std::optional<RedisReply>(std::move(*reply));
}

}  // namespace sallyport::store
