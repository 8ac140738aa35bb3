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
// Tries each address in turn until one answers; the last one has until the deadline. Fault::timed_out or unavailable: what the last one
// said.
[[nodiscard]] Task<Result<ConnectedSocket>> connect_in_turn(std::vector<boost::asio::ip::tcp::endpoint> addresses, MonotonicTime deadline,
                                                            boost::asio::io_context& context, DeadlineWheel& wheel);

// Belongs to one worker. Names are looked up by the resolver's thread, one lookup at a time however many requests wait for it;
// an answer is good for kNameLife, and a failed lookup falls back on the last good one.
class Connector {
 public:
  using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;
  static constexpr std::chrono::seconds kNameLife{30};
  static constexpr std::size_t kAddressesMax = 16;

  // `tls`: nullptr for clear text. Both references outlive *this.
  Connector(std::string host, std::uint16_t port, ssl_ctx_st* tls, std::string tls_name, boost::asio::io_context& context,
            DeadlineWheel& wheel);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // Fault::timed_out; not_found (the name); unavailable (refused, unreachable); mismatch (the certificate is refused); broken (TLS).
  [[nodiscard]] Task<Result<std::unique_ptr<Stream>>> connect(std::chrono::milliseconds timeout);

 private:
  struct Lookup;
  [[nodiscard]] Task<Result<void>> look_up(MonotonicTime deadline);
  void begin_lookup();

  std::string host_;
  std::uint16_t port_;
  ssl_ctx_st* tls_;
  std::string tls_name_;
  boost::asio::io_context& context_;
  DeadlineWheel& wheel_;
  std::shared_ptr<Lookup> lookup_;  // shared with the resolver's handler, which may come back after *this is gone
};

}  // namespace sallyport::transport
