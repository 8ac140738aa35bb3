// One request and its answer on an HTTP/1 connection: framing in, framing out (RFC 9112).
#pragma once

#include <string_view>

#include "base/byte_buffer.hpp"
#include "http/body_decoder.hpp"
#include "http/exchange.hpp"
#include "http/limits.hpp"
#include "transport/stream.hpp"

namespace sallyport::http {

struct Draining;

// Reused for every request of its connection. Head and early body bytes lie in the connection's input buffer, which does not move while the
// exchange lasts; later body bytes go through a buffer of the exchange's own.
class Http1Exchange final : public Exchange {
 public:
  Http1Exchange(transport::Stream& stream, const Peer& peer, const Limits& limits, const Timeouts& timeouts, const Clock& clock,
                const Draining& draining)
      : stream_(stream), peer_(peer), limits_(limits), timeouts_(timeouts), clock_(clock), draining_(draining) {}

  // What the parser fills before begin().
  [[nodiscard]] RequestHead& head() noexcept { return head_; }
  // `after_head`: the bytes received behind the head; they stay where they are until the next begin().
  void begin(std::string_view after_head);
  // For bytes that are no request: there is no body to read, and the connection closes.
  void begin_refusal();

  // After the handler returned: the bytes behind this request that belong to the next one. At most one of the two is not empty.
  struct Leftover {
    std::size_t of_input;          // still unread at the end of `after_head`
    std::string_view of_exchange;  // read later; valid until the next begin()
  };
  [[nodiscard]] Leftover leftover() const noexcept;
  [[nodiscard]] bool finished() const noexcept { return finished_; }
  [[nodiscard]] bool closing() const noexcept { return closing_; }
  // The connection became a tunnel, which has ended with the handler.
  [[nodiscard]] bool switched() const noexcept { return switched_; }
  // Whether the client may still be sending what nobody will read: a plain close would reset the answer away.
  [[nodiscard]] bool input_unread() const noexcept;
  // Gives memory back between requests.
  void release_buffers() noexcept;

  [[nodiscard]] const RequestHead& request() const noexcept override { return head_; }
  [[nodiscard]] const Peer& peer() const noexcept override { return peer_; }
  [[nodiscard]] MonotonicTime started_at() const noexcept override { return started_at_; }
  [[nodiscard]] Task<BodyPiece> read_body() override { return read_body_until(MonotonicTime::max()); }
  [[nodiscard]] Task<BodyPiece> read_body_within(std::chrono::milliseconds patience) override {
    return read_body_until(clock_.monotonic_now() + patience);
  }
  [[nodiscard]] BodyPiece buffered_body() override;
  // Not while the client waits for a 100: it cannot follow the answer's head.
  [[nodiscard]] bool keep_reading() noexcept override { return keeps_reading_ = !continue_pending_; }
  void start(int status, std::span<const Field> fields, AnswerBody body) override;
  [[nodiscard]] Task<bool> write(std::string_view bytes) override;
  [[nodiscard]] Task<bool> flush() override;
  [[nodiscard]] Task<bool> finish() override;
  [[nodiscard]] bool started() const noexcept override { return started_; }
  void close_after() noexcept override { closing_ = true; }
  void abort() noexcept override;
  [[nodiscard]] Task<transport::Stream*> switch_protocols(std::span<const Field> fields) override;
  [[nodiscard]] std::string_view early_bytes() const noexcept override { return unread_; }
  void count_tunnel(std::uint64_t from_client, std::uint64_t to_client) noexcept override {
    tunnel_bytes_in_ = from_client;
    bytes_out_ = to_client;
  }
  [[nodiscard]] std::uint64_t bytes_in() const noexcept override { return switched_ ? tunnel_bytes_in_ : decoder_.content_bytes(); }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept override { return bytes_out_; }

 private:
  static constexpr std::size_t kCoalesceBytes = 16 * 1024;    // smaller pieces wait for each other: one TLS record, one system call
  static constexpr std::size_t kWritePieceBytes = 64 * 1024;  // what the write timeout is for
  static constexpr std::size_t kBodyReadBytes = 16 * 1024;
  static constexpr unsigned kReadsAheadMax = 4;  // a client may fill each with a byte

  enum class Output : unsigned char { discard, sized, chunked, until_close };

  // Takes decoder steps on what is here; an empty `more` when input is needed.
  [[nodiscard]] BodyPiece step_body();
  [[nodiscard]] std::span<char> body_room();
  void take_body_bytes(const transport::IoResult& read);
  // An empty `more` when nothing came until `give_up`.
  [[nodiscard]] Task<BodyPiece> read_body_until(MonotonicTime give_up);
  void drop_buffered_body();
  void write_status_line(int status);
  // False: there was no Date among them.
  bool write_fields(std::span<const Field> fields);
  void write_framing(AnswerBody body, bool body_forbidden);
  // What can be sent without a wait. True: all of it. False: `bytes` is the rest, or the exchange is aborted; send_rest() knows.
  [[nodiscard]] bool send_now(std::string_view& bytes);
  [[nodiscard]] bool send_soon(std::string_view& bytes);
  [[nodiscard]] Task<bool> send_rest(std::string_view bytes);
  [[nodiscard]] Task<bool> send(std::string_view bytes);
  [[nodiscard]] Task<bool> send_output();

  transport::Stream& stream_;
  const Peer& peer_;
  const Limits& limits_;
  const Timeouts& timeouts_;
  const Clock& clock_;
  const Draining& draining_;  // asked when the answer starts, which may be long after the request came

  RequestHead head_;
  BodyDecoder decoder_;
  std::string_view unread_;      // of after_head, or of body_input_
  bool unread_is_input_ = true;  // unread_ lies in the connection's input buffer
  ByteBuffer body_input_;
  unsigned reads_ahead_ = 0;  // by buffered_body() since the body was waited for
  BodyState body_state_ = BodyState::more;
  MonotonicTime body_deadline_{};
  MonotonicTime started_at_{};
  bool keeps_reading_ = false;     // the body is read on beside the answer
  bool continue_pending_ = false;  // the client waits for 100

  ByteBuffer output_;
  Output output_kind_ = Output::discard;
  std::uint64_t sized_remaining_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint64_t tunnel_bytes_in_ = 0;
  bool switched_ = false;
  bool started_ = false;
  bool finished_ = false;
  bool closing_ = false;
  bool aborted_ = false;
};

}  // namespace sallyport::http
