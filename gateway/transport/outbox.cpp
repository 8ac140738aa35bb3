#include "transport/outbox.hpp"

#include <algorithm>
#include <utility>

#include "transport/stream.hpp"

namespace sallyport::transport {

Outbox::Outbox() : bytes_(std::make_unique_for_overwrite<std::array<char, kBytesMax>>()) {}

void Outbox::put(Stream& stream, std::span<const char> bytes) noexcept {
  std::copy(bytes.begin(), bytes.end(), bytes_->begin() + static_cast<std::ptrdiff_t>(bytes_used_));
  Piece* const last = pieces_used_ == 0 ? nullptr : &pieces_[pieces_used_ - 1];
  if (last != nullptr && last->stream == &stream) {
    last->size += bytes.size();  // answers to pipelined requests: one segment
  } else {
    pieces_[pieces_used_++] = {&stream, bytes_used_, bytes.size()};
  }
  bytes_used_ += bytes.size();
}

void Outbox::end_turn() noexcept {
  if (pieces_used_ > 0 && ++turns_ >= kTurnsMax) send_all();
}

void Outbox::end_round() noexcept {
  send_all();
  is_open_ = false;
}

void Outbox::send_all() noexcept {
  for (std::size_t i = 0; i < pieces_used_; ++i) send(pieces_[i]);
  pieces_used_ = bytes_used_ = turns_ = 0;
}

void Outbox::send_of(Stream& stream) noexcept {
  for (std::size_t i = 0; i < pieces_used_; ++i) {
    if (pieces_[i].stream == &stream) send(pieces_[i]);
  }
}

void Outbox::send(Piece& piece) noexcept {
  if (Stream* const stream = std::exchange(piece.stream, nullptr); stream != nullptr) {
    stream->send_deferred(std::span(*bytes_).subspan(piece.offset, piece.size));
  }
}

}  // namespace sallyport::transport
