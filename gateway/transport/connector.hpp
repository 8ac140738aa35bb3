// New connections to one server: name, TCP, TLS, all within one deadline.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.hpp"
#include "base/task.hpp"
#include "transport/stream.hpp"

namespace sallyport::transport {

// How long one address of several may take before the next is tried (RFC 8305 §5; hazard O16).
inline constexpr std::chrono::milliseconds kAddressPatience{250};

struct ConnectedSocket {
  Socket socket;
  std::size_t address;  // which of the addresses it was
};
// Tries one address after the other, the next when one failed or kAddressPatience passed, and takes the first that answers: those under
// way go on beside it (RFC 8305 §5). Fault::timed_out or unavailable: what the last one said.
[[nodiscard]] Task<Result<ConnectedSocket>> connect_in_turn(std::vector<boost::asio::ip::tcp::endpoint> addresses, MonotonicTime deadline,
                                                            boost::asio::io_context& context, DeadlineWheel& wheel);

// Both families in turn, beginning with that of the first (RFC 8305 §4): a network without a road for one of them costs one wait.
[[nodiscard]] std::vector<boost::asio::ip::tcp::endpoint> interleave_families(std::vector<boost::asio::ip::tcp::endpoint> addresses);

// The path of a Unix socket: absolute, at most kBytesMax.
struct UnixPath {
  static constexpr std::size_t kBytesMax = 107;
  std::string path;
};

// Belongs to one worker. Names are looked up by the resolver's thread, one lookup at a time however many requests wait for it;
// an answer is good for kNameLife, and a failed lookup falls back on the last good one.
class Connector {
 public:
  using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;
  static constexpr std::chrono::seconds kNameLife{30};
  static constexpr std::chrono::seconds kRetryAfter{1};  // when a lookup failed
  static constexpr std::size_t kAddressesMax = 16;

  // `tls`: nullptr for clear text. Both references outlive *this.
  Connector(std::string host, std::uint16_t port, ssl_ctx_st* tls, std::string tls_name, boost::asio::io_context& context,
            DeadlineWheel& wheel);
  // A Unix socket, in clear text.
  Connector(UnixPath path, boost::asio::io_context& context, DeadlineWheel& wheel);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // Fault::timed_out; not_found (the name); unavailable (refused, unreachable); mismatch (the certificate is refused); broken (TLS).
  [[nodiscard]] Task<Result<std::unique_ptr<Stream>>> connect(std::chrono::milliseconds timeout);

  // For who uses kept connections and needs no new one: looks the name up again when that is due, without a wait.
  void refresh();
  // Moves when the name lost an address: connections to it should end with what goes on in them.
  [[nodiscard]] std::uint32_t generation() const noexcept;

 private:
  struct Lookup;
  [[nodiscard]] Task<Result<std::unique_ptr<Stream>>> connect_to_path(MonotonicTime deadline);
  [[nodiscard]] Task<Result<void>> look_up(MonotonicTime deadline);
  void begin_lookup();

  std::string host_;
  std::string unix_path_;  // empty: host_ and port_
  std::uint16_t port_;
  ssl_ctx_st* tls_;
  std::string tls_name_;
  boost::asio::io_context& context_;
  DeadlineWheel& wheel_;
  std::shared_ptr<Lookup> lookup_;  // shared with the resolver's handler, which may come back after *this is gone
};

}  // namespace sallyport::transport
