// What the streams of a worker say in one round of its loop, sent at the end of a few turns, one right after the other. A peer on the same
// machine that sleeps is woken by the first and is awake for the rest, and the kernel's way of sending is walked while it is warm.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace sallyport::transport {

class Stream;

// Belongs to one Poller and its thread. Never allocates after it was made.
class Outbox {
 public:
  static constexpr std::size_t kPieceBytesMax = 4 * 1024;  // more of one stream is sent at once
  static constexpr std::size_t kTurnsMax = 32;             // of others that a piece waits for

  Outbox();

  // A round begins: until end_round() pieces are taken.
  void begin_round() noexcept { is_open_ = true; }
  // After each turn of somebody in the round.
  void end_turn() noexcept;
  void end_round() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  [[nodiscard]] bool takes(std::size_t bytes) const noexcept {
    return is_open_ && bytes <= kPieceBytesMax && bytes <= kBytesMax - bytes_used_ && pieces_used_ < kPiecesMax;
  }
  // What takes() has allowed. A copy of the bytes; the stream takes itself out before it ends (send_of).
  void put(Stream& stream, std::span<const char> bytes) noexcept;
  // The stream's pieces go out now, or everybody's.
  void send_of(Stream& stream) noexcept;
  void send_all() noexcept;

 private:
  static constexpr std::size_t kPiecesMax = 2 * kTurnsMax;
  static constexpr std::size_t kBytesMax = 64 * 1024;
  struct Piece {
    Stream* stream;  // nullptr: sent
    std::size_t offset;
    std::size_t size;
  };

  void send(Piece& piece) noexcept;

  std::unique_ptr<std::array<char, kBytesMax>> bytes_;
  std::array<Piece, kPiecesMax> pieces_;
  std::size_t bytes_used_ = 0;
  std::size_t pieces_used_ = 0;
  std::size_t turns_ = 0;  // since the first piece
  bool is_open_ = false;
};

}  // namespace sallyport::transport
