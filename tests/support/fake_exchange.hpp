// One exchange without a connection: the request is raw text put through the real parser, the answer is recorded.
#pragma once

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/text.hpp"
#include "http/exchange.hpp"
#include "http/request_parser.hpp"

namespace sallyport::test {

// What is written by hand for a client: "GET / HTTP/1.1\r\nHost: a\r\n\r\n". With Content-Length, what stands behind the head is the body;
// other bodies come by script_body().
class FakeExchange final : public http::Exchange {
 public:
  explicit FakeExchange(std::string request, http::Peer peer = {.listener = "public", .address = "192.0.2.1", .port = 50000})
      : raw_(std::make_unique<const std::string>(std::move(request))), peer_(peer) {
    http::RequestParser parser(limits_);
    const http::HeadOutcome outcome = parser.parse(*raw_, head_);
    if (const auto* refused = std::get_if<http::HeadRefused>(&outcome)) refused_ = *refused;
    EXPECT_FALSE(std::holds_alternative<http::HeadIncomplete>(outcome)) << "the head is not complete: " << *raw_;
    const auto* parsed = std::get_if<http::HeadParsed>(&outcome);
    if (parsed == nullptr) return;
    std::string body = raw_->substr(parsed->bytes);
    EXPECT_EQ(body.size(), head_.framing == http::Framing::length ? head_.content_length : 0U) << "the body does not fit its framing";
    if (!body.empty()) pieces_.emplace_back(http::BodyState::more, std::move(body));
  }

  // What the parser refused, for refuse(); nullopt for a good request.
  [[nodiscard]] const std::optional<http::HeadRefused>& refused() const noexcept { return refused_; }

  // The pieces that read_body() gives, in order; `end` follows unless the last is another final state.
  void script_body(std::vector<std::pair<http::BodyState, std::string>> pieces) { pieces_.assign(pieces.begin(), pieces.end()); }
  // From now on nothing can be sent.
  void lose_client() noexcept { client_gone_ = true; }
  void set_started_at(MonotonicTime time) noexcept { started_at_ = time; }

  // The answer.
  [[nodiscard]] int status() const noexcept { return status_; }  // 0: none yet
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& fields() const noexcept { return fields_; }
  // The only field of that name; nullopt when there is none or more than one.
  [[nodiscard]] std::optional<std::string> field(std::string_view name) const {
    std::optional<std::string> found;
    for (const auto& [candidate, value] : fields_) {
      if (!equals_ignoring_case(candidate, name)) continue;
      if (found) return std::nullopt;
      found = value;
    }
    return found;
  }
  [[nodiscard]] const std::string& body() const noexcept { return body_; }
  [[nodiscard]] const http::AnswerBody& announced() const noexcept { return announced_; }
  [[nodiscard]] bool finished() const noexcept { return finished_; }
  [[nodiscard]] bool closes() const noexcept { return closes_; }
  [[nodiscard]] bool aborted() const noexcept { return aborted_; }
  [[nodiscard]] bool body_was_read() const noexcept { return body_was_read_; }

  [[nodiscard]] const http::RequestHead& request() const noexcept override { return head_; }
  [[nodiscard]] const http::Peer& peer() const noexcept override { return peer_; }
  [[nodiscard]] MonotonicTime started_at() const noexcept override { return started_at_; }

  [[nodiscard]] Task<http::BodyPiece> read_body() override {
    body_was_read_ = true;
    co_return next_piece();
  }
  [[nodiscard]] http::BodyPiece buffered_body() override { return next_piece(); }

  void start(int status, std::span<const http::Field> fields, http::AnswerBody body) override {
    EXPECT_EQ(status_, 0) << "an answer was started twice";
    status_ = status;
    announced_ = body;
    for (const http::Field& field : fields) {
      EXPECT_TRUE(is_allowed(http::field_id(field.name))) << "framing and hop-by-hop fields are the exchange's: " << field.name;
      fields_.emplace_back(field.name, field.value);
    }
  }
  [[nodiscard]] Task<bool> write(std::string_view bytes) override {
    EXPECT_NE(status_, 0) << "a body before the head";
    if (!client_gone_) body_ += bytes;
    co_return !client_gone_;
  }
  [[nodiscard]] Task<bool> flush() override { co_return !client_gone_; }
  [[nodiscard]] Task<bool> finish() override {
    EXPECT_NE(status_, 0) << "finished without a head";
    EXPECT_FALSE(finished_) << "finished twice";
    finished_ = true;
    if (announced_.kind == http::AnswerBody::Kind::sized && head_.method != http::Method::head && !client_gone_) {
      EXPECT_EQ(body_.size(), announced_.size);
    }
    co_return !client_gone_;
  }
  [[nodiscard]] bool started() const noexcept override { return status_ != 0; }
  void close_after() noexcept override { closes_ = true; }
  void abort() noexcept override { aborted_ = true; }
  [[nodiscard]] std::uint64_t bytes_in() const noexcept override { return bytes_in_; }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept override { return body_.size(); }

 private:
  static bool is_allowed(http::FieldId id) noexcept {
    return id < http::FieldId::connection && id != http::FieldId::content_length && id != http::FieldId::transfer_encoding;
  }

  [[nodiscard]] http::BodyPiece next_piece() {
    if (pieces_.empty()) return {http::BodyState::end, {}};
    if (pieces_.front().first != http::BodyState::more) return {pieces_.front().first, {}};  // final: given again and again
    piece_ = std::move(pieces_.front().second);
    pieces_.pop_front();
    bytes_in_ += piece_.size();
    return {http::BodyState::more, piece_};
  }

  std::unique_ptr<const std::string> raw_;  // head_ views into it, wherever *this is moved
  http::Limits limits_;
  http::Peer peer_;
  http::RequestHead head_;
  std::optional<http::HeadRefused> refused_;
  MonotonicTime started_at_{};
  std::deque<std::pair<http::BodyState, std::string>> pieces_;
  std::string piece_;
  std::uint64_t bytes_in_ = 0;
  bool body_was_read_ = false;
  bool client_gone_ = false;

  int status_ = 0;
  std::vector<std::pair<std::string, std::string>> fields_;
  http::AnswerBody announced_;
  std::string body_;
  bool finished_ = false;
  bool closes_ = false;
  bool aborted_ = false;
};

// Runs a coroutine to its end on a context of its own; its exception is thrown here.
inline void run(Task<void> task) {
  boost::asio::io_context context(1);
  std::exception_ptr failure;
  boost::asio::co_spawn(context.get_executor(), std::move(task), [&failure](const std::exception_ptr& exception) { failure = exception; });
  context.run();
  if (failure) std::rethrow_exception(failure);
}

// Does with the exchange what a session would.
inline void serve(http::RequestHandler& handler, FakeExchange& exchange) {
  if (exchange.refused()) {
    run(handler.refuse(exchange, exchange.refused()->fault, exchange.refused()->detail));
  } else {
    run(handler.handle(exchange));
  }
}

}  // namespace sallyport::test
