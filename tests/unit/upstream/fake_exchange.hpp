// An exchange without a client: what it is asked to send is kept, what it brings is scripted.
#pragma once

#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"

namespace sallyport::testing {

class FakeExchange final : public http::Exchange {
 public:
  struct Piece {
    std::string bytes;
    bool buffered = false;           // already here when the exchange began
    std::function<void()> before{};  // runs before read_body() brings it
  };
  // What the client sends; the body ends in `body_end` after the pieces.
  std::deque<Piece> body;
  http::BodyState body_end = http::BodyState::end;
  bool end_is_buffered = true;  // the end behind the last piece is seen without waiting

  // What write() does with each piece; the default keeps the bytes. False: the client is gone.
  std::function<bool(std::string_view)> on_write;
  std::function<Task<void>()> before_write;  // awaited first: a slow client
  bool finish_succeeds = true;
  bool may_keep_reading = false;  // what keep_reading() says

  // What came out.
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  http::AnswerBody announced;
  std::string written;
  std::size_t written_bytes = 0;
  std::size_t largest_write = 0;
  std::size_t writes_before_flush = 0;
  int flushes = 0;
  int body_reads = 0;
  bool finished = false;
  bool aborted = false;
  bool closes = false;

  explicit FakeExchange(http::Method method = http::Method::get, std::string_view method_text = "GET") {
    head.method = method;
    head.method_text = method_text;
    if (!head.target.assign("/thing")) throw std::logic_error("target");
    head.host = "api.example.com";
    head.host_name = "api.example.com";
    head.fields.push_back({"Host", "api.example.com", http::FieldId::host});
  }
  void sized_body(std::uint64_t size) {
    head.framing = http::Framing::length;
    head.content_length = size;
    length_text_ = std::to_string(size);
    head.fields.push_back({"Content-Length", length_text_, http::FieldId::content_length});
  }
  void chunked_body() {
    head.framing = http::Framing::chunked;
    head.fields.push_back({"Transfer-Encoding", "chunked", http::FieldId::transfer_encoding});
  }

  // The value of the first field of that name as it was started; "(none)" without.
  [[nodiscard]] std::string field(std::string_view name) const {
    for (const auto& [field_name, value] : fields) {
      if (field_name == name) return value;
    }
    return "(none)";
  }

  http::RequestHead head;

  [[nodiscard]] const http::RequestHead& request() const noexcept override { return head; }
  [[nodiscard]] const http::Peer& peer() const noexcept override { return peer_; }
  [[nodiscard]] MonotonicTime started_at() const noexcept override { return {}; }
  [[nodiscard]] Task<http::BodyPiece> read_body() override {
    if (started_ && !may_keep_reading) throw std::logic_error("read_body() after start()");
    ++body_reads;
    if (body.empty()) co_return http::BodyPiece{body_end, {}};
    if (body.front().before) body.front().before();
    co_return next_piece();
  }
  [[nodiscard]] http::BodyPiece buffered_body() override {
    if (body.empty() && (end_is_buffered || body_end != http::BodyState::end)) return {body_end, {}};
    if (body.empty() || !body.front().buffered) return {http::BodyState::more, {}};
    return next_piece();
  }
  [[nodiscard]] bool keep_reading() noexcept override { return may_keep_reading; }
  void start(int answer_status, std::span<const http::Field> answer_fields, http::AnswerBody answer_body) override {
    if (started_) throw std::logic_error("started twice");
    started_ = true;
    status = answer_status;
    announced = answer_body;
    for (const http::Field& answer_field : answer_fields) fields.emplace_back(answer_field.name, answer_field.value);
  }
  [[nodiscard]] Task<bool> write(std::string_view bytes) override {
    if (!started_ || finished) throw std::logic_error("write() out of order");
    if (before_write) co_await before_write();
    largest_write = std::max(largest_write, bytes.size());
    written_bytes += bytes.size();
    if (flushes == 0) ++writes_before_flush;
    if (on_write) co_return on_write(bytes);
    written += bytes;
    co_return true;
  }
  [[nodiscard]] Task<bool> flush() override {
    ++flushes;
    co_return true;
  }
  [[nodiscard]] Task<bool> finish() override {
    finished = finish_succeeds;
    co_return finish_succeeds;
  }
  [[nodiscard]] bool started() const noexcept override { return started_; }
  void close_after() noexcept override { closes = true; }
  void abort() noexcept override { aborted = true; }
  [[nodiscard]] std::uint64_t bytes_in() const noexcept override { return 0; }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept override { return written_bytes; }

 private:
  http::BodyPiece next_piece() {
    current_ = std::move(body.front().bytes);
    body.pop_front();
    return {http::BodyState::more, current_};
  }

  http::Peer peer_;
  std::string current_;  // overwritten by the next piece: views must not be kept longer
  std::string length_text_;
  bool started_ = false;
};

}  // namespace sallyport::testing
