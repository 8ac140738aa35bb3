// Upstream::forward(): the order of the steps.
#include "upstream/forwarding.hpp"

namespace sallyport::upstream {

Task<ForwardResult> Upstream::forward(const identity::OutboundRequest& request, http::Exchange& exchange, const AnswerPolicy& policy) {
  Forwarding work(*impl_, request, exchange, policy);
  if (work.is_interrupted()) {
    work.client_left();
    co_return work.result();
  }
  // Bytes that were sent for a tunnel are no request, whatever becomes of the handshake (K19).
  if (request.websocket() != nullptr) exchange.close_after();
  Progress progress = work.gather_first_write();
  if (progress == Progress::failed) co_return work.result();

  // Ask: until an answer begins, or there is nothing left to try.
  bool fresh = !work.take_kept_connection();
  for (;;) {
    if (fresh) {
      progress = co_await work.connect();
      if (progress == Progress::failed) co_return work.result();
    }
    progress = work.send_first_write();
    if (progress == Progress::more) progress = co_await work.upload();
    while ((progress == Progress::done && !work.has_answer()) || progress == Progress::more) {
      const std::span<char> room = work.head_room();
      const transport::IoResult read = co_await work.stream().read_some(room);
      progress = work.take_head_bytes(read);
    }
    if (progress != Progress::lost) break;
    if (!work.begin_retry()) {
      work.give_up();
      co_return work.result();
    }
    fresh = true;
  }
  if (progress == Progress::failed) co_return work.result();

  if (work.has_switched()) {
    co_await work.tunnel();
    co_return work.result();
  }

  // Whoever looks at answers does so before a byte of one goes down, because he may want to answer himself.
  if (policy.interceptor != nullptr) {
    progress = co_await work.intercept();
    if (progress == Progress::failed) co_return work.result();
  }

  // Answer: what came with the head leaves with the head. An answer that the upload found early has begun already.
  std::string_view piece;
  if (!exchange.started()) progress = work.start_answer();
  if (progress == Progress::done) progress = work.next_piece(piece);
  while (progress == Progress::more && !piece.empty()) {
    const bool written = co_await exchange.write(piece);
    if (!written) {
      work.client_left();
      co_return work.result();
    }
    progress = work.next_piece(piece);
  }
  if (progress == Progress::more) progress = co_await work.deliver_rest();
  if (progress == Progress::failed) co_return work.result();

  const bool finished = co_await exchange.finish();
  if (finished) {
    work.complete();
  } else {
    work.client_left();
  }
  co_return work.result();
}

}  // namespace sallyport::upstream
