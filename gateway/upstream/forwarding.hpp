// One request on its way to an upstream and its answer on the way back: the steps of Upstream::forward() and what they share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "upstream/assignment.hpp"
#include "upstream/upstream_impl.hpp"

namespace sallyport::upstream {

// How a step ended.
enum class Progress : std::uint8_t {
  done,    // the step is complete
  more,    // it is not, and nothing is wrong
  lost,    // the connection died before the first byte of an answer: a retry may be allowed
  failed,  // result() says how
};

// Lives in the frame of Upstream::forward(). Steps that wait are coroutines; those of a small warm request are not.
class Forwarding {
 public:
  Forwarding(Upstream::Impl& upstream, const identity::OutboundRequest& request, http::Exchange& exchange, const AnswerPolicy& policy);
  ~Forwarding();
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;

  // Gathers what can be sent at once: the head, and what is here of the body. failed: the body is at fault already, and nobody was asked.
  [[nodiscard]] Progress gather_first_write();
  // A kept connection to the server whose turn it is; false when there is none.
  [[nodiscard]] bool take_kept_connection();
  // A new connection, to the next server in turn when one cannot be reached. done or failed.
  [[nodiscard]] Task<Progress> connect();

  // done: all was sent at once. more: upload() has to go on.
  [[nodiscard]] Progress send_first_write();
  // Sends the rest, and the body as the client brings it. done also when the final answer came early: has_answer() is true then.
  [[nodiscard]] Task<Progress> upload();

  // Where the answer's head is read to, and what the read brought: done when the final head is there.
  [[nodiscard]] std::span<char> head_room();
  [[nodiscard]] Progress take_head_bytes(transport::IoResult read);
  [[nodiscard]] bool has_answer() const noexcept { return has_answer_; }
  [[nodiscard]] transport::Stream& stream() noexcept { return *stream_; }

  // Whether a lost connection may be followed by another attempt (RFC 9110 §9.2.2); prepares it.
  [[nodiscard]] bool begin_retry();
  // The outcome of a lost connection that is not followed by another.
  void give_up();

  // Shows the answer's head to the interceptor, where there is one. done: the answer goes downstream. failed: it is withheld, or nobody is
  // left to get it.
  [[nodiscard]] Task<Progress> intercept();
  // Starts the downstream answer. failed: what is here of its body is broken already.
  [[nodiscard]] Progress start_answer();
  // The answer's head is the 101 that was asked for. The tunnel, from there to its end.
  [[nodiscard]] bool has_switched() const noexcept { return has_answer_ && request_.websocket() != nullptr && work_->head.status == 101; }
  [[nodiscard]] Task<void> tunnel();
  // The next piece of the answer's body that is in the buffer. done: the body is complete. more: see `piece`; when it is empty, more must
  // be read. failed: broken framing.
  [[nodiscard]] Progress next_piece(std::string_view& piece);
  // Streams what is not in the buffer yet. done or failed.
  [[nodiscard]] Task<Progress> deliver_rest();
  // The client could not be written to: the upstream's connection goes with it (O11).
  void client_left();
  // After the exchange was finished: keeps the connection when it is clean.
  void complete();

  [[nodiscard]] bool is_interrupted() const noexcept { return is_interrupted_; }
  [[nodiscard]] const ForwardResult& result() const noexcept { return result_; }

 private:
  static constexpr std::size_t kDropBytesMax = 64 * 1024;
  static constexpr std::chrono::milliseconds kDropTimeMax{250};  // of which the client hears nothing
  static constexpr std::size_t kTurnBytes = 256 * 1024;
  static constexpr std::size_t kStepBytes = 4 * 1024;  // what a step counts for at least: a small one costs its system calls too

  // Ends it all from outside: both connections are closed, and whoever waits on one of them comes back and fails.
  void interrupt() noexcept;
  static void on_interruption(void* self) noexcept { static_cast<Forwarding*>(self)->interrupt(); }
  // After the assignment has moved.
  void note_server() noexcept;
  [[nodiscard]] Server& server() noexcept { return *upstream_.servers[assignment_.server()]; }
  void fail(ForwardStatus status, std::string_view detail);
  void fail_body(http::BodyState state);
  void append_body(std::string_view piece);
  // Frames what is here of the body already, behind what the output buffer holds, until that has `bytes_max`.
  [[nodiscard]] Progress append_buffered_body(std::size_t bytes_max);
  void count_body(std::size_t bytes);
  // Puts what the client brought into pending_.
  [[nodiscard]] Progress stage(const http::BodyPiece& piece);
  // Sends pending_. more: all of it; else as listen().
  [[nodiscard]] Task<Progress> send_pending();
  // Hears what the upstream says while the body is still being sent. more: the body goes on, beside the answer if one began.
  // done: the final answer is there, or all of it was delivered, and the body ends here.
  [[nodiscard]] Task<Progress> listen();
  [[nodiscard]] Progress read_early_head();
  [[nodiscard]] Progress after_failed_write();
  // Moves to another server where there is one.
  [[nodiscard]] bool has_where_to_retry();
  // Whether the body goes on although the final answer has begun.
  [[nodiscard]] bool goes_on_uploading();
  // Keeps what is still to be sent from the exchange, whose next call overwrites it.
  void save_pending();
  // Writes what is in the buffer downstream. more: the rest of the answer must be read.
  [[nodiscard]] Task<Progress> relay();
  [[nodiscard]] std::span<char> body_room();
  // What a read brought of the answer's body. done: its end. more: bytes.
  [[nodiscard]] Progress take_body_bytes(transport::IoResult read, std::size_t room);
  // Whether so much has moved without a wait that others should have their turn.
  [[nodiscard]] bool is_turn_over(std::size_t bytes) noexcept {
    turn_bytes_ += std::max(bytes, kStepBytes);
    if (turn_bytes_ < kTurnBytes) return false;
    turn_bytes_ = 0;
    return true;
  }
  [[nodiscard]] Progress parse_head();
  void await_answer();
  [[nodiscard]] bool is_replaced(const http::Field& field) const noexcept;
  [[nodiscard]] bool drops(const http::Field& field) const noexcept;
  void start_decoding();
  // The answer's fields as they go downstream.
  void gather_fields();
  void gather_switch_fields(const http::HandshakeAnswer& answer, std::string_view accept);
  // The interceptor keeps the answer.
  [[nodiscard]] Task<void> withhold();
  // Reads the answer's body past, when it is small and comes soon. True: all of it, and the connection can be kept for others.
  [[nodiscard]] Task<bool> drop_body();
  [[nodiscard]] http::AnswerBody answer_body() const noexcept;
  [[nodiscard]] http::Framing answer_framing() const noexcept;
  [[nodiscard]] bool is_reusable() const noexcept;

  Upstream::Impl& upstream_;
  const identity::OutboundRequest& request_;
  http::Exchange& exchange_;
  const AnswerPolicy& policy_;
  std::unique_ptr<Workspace> work_;
  std::unique_ptr<transport::Stream> stream_;
  Assignment assignment_;
  bool is_admitted_ = false;
  std::uint32_t address_generation_ = 0;  // of the server's name, when the connection was made or taken
  std::vector<bool> tried_;               // servers that could not be reached; empty as long as all went well
  ForwardResult result_{ForwardStatus::broken, http::BodyState::end, 0, {}, {}, false, {}, {}};

  http::BodyState body_ = http::BodyState::end;  // how far the client's body has been read
  std::uint64_t body_left_ = 0;                  // of a sized body: what has not been read yet
  std::string_view first_write_;
  std::string_view pending_;      // what is to be sent next
  std::uint64_t sent_bytes_ = 0;  // on this connection
  bool replayable_ = true;        // all that was read of the body is still in first_write_
  bool is_reused_ = false;
  std::uint32_t retries_left_;

  MonotonicTime began_{};
  bool heard_ = false;      // a byte of an answer came
  bool heard_all_ = false;  // the last look at the upstream while sending found nothing more
  int informational_ = 0;
  std::size_t head_bytes_ = 0;
  bool has_answer_ = false;
  bool is_interrupted_ = false;
  std::vector<http::Field> added_;  // by the interceptor
  bool is_early_ = false;           // the answer came before the body had been sent
  bool keeps_uploading_ = false;    // and the body goes on beside it
  bool ended_by_close_ = false;
  std::size_t turn_bytes_ = 0;
  std::size_t read_bytes_ = Workspace::kReadBytes;
  std::size_t piece_bytes_ = 0;  // of the input that the last piece stands for
};

}  // namespace sallyport::upstream
