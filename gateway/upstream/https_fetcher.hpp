// One small document from one configured URL, for ourselves: an issuer's keys. Nothing that a request says decides where it goes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/network.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "transport/deadline_wheel.hpp"
#include "transport/stream.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::upstream {

struct FetchUrl {
  // Which addresses a name may stand for: whoever answers for a public name must not be able to point us at our own network (hazards E10).
  enum class Reach : std::uint8_t {
    literal,   // an address: itself, whatever it is
    loopback,  // localhost, *.localhost
    private_,  // a name that only a private network can have (one label, .internal, .local, .home.arpa, .svc): any but link-local ones
    public_,   // any other name: global addresses alone
  };
  bool is_tls = true;
  std::string host;  // lower case, without brackets
  std::uint16_t port = 443;
  std::string authority;  // for Host
  std::string target;     // path and query
  Reach reach = Reach::public_;

  // `https://HOST[:PORT]/PATH`; http:// where HOST is the loopback. Fault::malformed, with what is wrong: the scheme, the host, user
  // information, a fragment, bytes that do not belong into a target.
  [[nodiscard]] static Result<FetchUrl> parse(std::string_view text);
  [[nodiscard]] bool may_reach(const IpAddress& address) const noexcept;
};

// The life of an answer that Cache-Control states (RFC 9111 §5.2.2): max-age; 0 for no-store and no-cache. nullopt: nothing of that, or
// malformed.
[[nodiscard]] std::optional<std::chrono::seconds> stated_life(std::string_view cache_control) noexcept;

struct FetchLimits {
  std::size_t bytes_max = 1024 * 1024;
  std::chrono::milliseconds time{10'000};    // for everything
  std::chrono::milliseconds connect{5'000};  // of that, for one address, TLS included
};

// Belongs to one thread, which runs the io_context. One get() at a time.
class HttpsFetcher {
 public:
  // `ca_file`: empty for the system's authorities. Fault as make_tls_client_context().
  [[nodiscard]] static Result<std::unique_ptr<HttpsFetcher>> create(FetchUrl url, const std::string& ca_file,
                                                                    boost::asio::io_context& context, transport::DeadlineWheel& wheel,
                                                                    const FetchLimits& limits = {});
  ~HttpsFetcher();
  HttpsFetcher(const HttpsFetcher&) = delete;
  HttpsFetcher& operator=(const HttpsFetcher&) = delete;

  struct Document {
    std::string body;
    std::optional<std::chrono::seconds> life;  // as stated_life() has it
  };
  // One GET, on a connection of its own: no redirect is followed, no compression accepted, nothing sent but the URL.
  // Fault::timed_out; not_found (the name); unavailable (no connection, a status other than 200); mismatch (the certificate); unsupported
  // (an address that may not be reached, a content coding); too_large; malformed (no HTTP); broken (cut off). The detail says more.
  [[nodiscard]] Task<Result<Document>> get();
  // Ends a get() under way soon: at once when it reads or waits for a name, else after `connect` at the latest.
  void abort() noexcept;

 private:
  struct Lookup;
  HttpsFetcher(FetchUrl url, transport::SslContext tls, boost::asio::io_context& context, transport::DeadlineWheel& wheel,
               const FetchLimits& limits);
  [[nodiscard]] Task<Result<std::vector<std::string>>> addresses(MonotonicTime deadline);
  [[nodiscard]] Task<Result<std::unique_ptr<transport::Stream>>> connect(MonotonicTime deadline);
  [[nodiscard]] Task<Result<Document>> exchange(transport::Stream& stream);

  FetchUrl url_;
  transport::SslContext tls_;  // null for http
  boost::asio::io_context& context_;
  transport::DeadlineWheel& wheel_;
  FetchLimits limits_;
  std::shared_ptr<Lookup> lookup_;       // shared with the resolver's handler, which may come back after *this is gone
  transport::Stream* stream_ = nullptr;  // of the get() under way
  bool aborted_ = false;
};

}  // namespace sallyport::upstream
