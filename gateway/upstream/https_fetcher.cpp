#include "upstream/https_fetcher.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/ip/basic_resolver.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/byte_buffer.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "http/body_decoder.hpp"
#include "http/host.hpp"
#include "http/response_parser.hpp"
#include "transport/connector.hpp"

namespace sallyport::upstream {
namespace {

namespace asio = boost::asio;
using Resolver = asio::ip::basic_resolver<asio::ip::tcp, Executor>;
using boost::system::error_code;
using transport::IoResult;
using transport::IoStatus;

constexpr std::size_t kUrlBytesMax = 2'048;
constexpr std::size_t kAddressesMax = 8;
constexpr std::size_t kReadBytes = 16 * 1024;

Error malformed(std::string detail) { return make_error(Fault::malformed, std::move(detail)); }

std::vector<Network> networks(std::initializer_list<std::string_view> texts) {
  std::vector<Network> parsed;
  for (const std::string_view text : texts) parsed.push_back(*Network::parse(text));
  return parsed;
}

// Never a server of anybody's, but metadata services and neighbours.
const std::vector<Network>& never_reached() {
  static const std::vector<Network> kNever =
      networks({"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8"});
  return kNever;
}

// What the IANA registries of special addresses say is not global, and the ways to write an IPv4 address into an IPv6 one.
const std::vector<Network>& private_networks() {
  static const std::vector<Network> kPrivate =
      networks({"10.0.0.0/8",    "100.64.0.0/10",   "127.0.0.0/8",    "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16",
                "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "::1/128",       "::/96",        "64:ff9b::/96", "64:ff9b:1::/48",
                "100::/64",      "2001::/23",       "2001:db8::/32",  "2002::/16",     "fc00::/7",     "fec0::/10"});
  return kPrivate;
}

const std::vector<Network>& loopback_networks() {
  static const std::vector<Network> kLoopback = networks({"127.0.0.0/8", "::1/128"});
  return kLoopback;
}

FetchUrl::Reach reach_of(std::string_view host) {
  using Reach = FetchUrl::Reach;
  if (IpAddress::parse(host)) return Reach::literal;
  if (host == "localhost" || host.ends_with(".localhost")) return Reach::loopback;
  constexpr std::array<std::string_view, 4> kPrivateEnds{".internal", ".local", ".home.arpa", ".svc"};
  const bool is_private = host.find('.') == std::string_view::npos ||
                          std::any_of(kPrivateEnds.begin(), kPrivateEnds.end(), [&](std::string_view end) { return host.ends_with(end); });
  return is_private ? Reach::private_ : Reach::public_;
}

bool is_loopback(const FetchUrl& url) {
  const auto address = IpAddress::parse(url.host);
  return url.reach == FetchUrl::Reach::loopback || (address && contains(loopback_networks(), *address));
}

Error read_failure(IoStatus status, std::string_view where) {
  if (status == IoStatus::timed_out) return make_error(Fault::timed_out, "the answer took too long");
  return make_error(Fault::broken, "the connection ended within " + std::string(where));
}

std::string request_text(const FetchUrl& url) {
  return "GET " + url.target + " HTTP/1.1\r\nHost: " + url.authority +
         "\r\nAccept: application/jwk-set+json, application/json\r\nAccept-Encoding: identity\r\nUser-Agent: sallyport\r\n"
         "Connection: close\r\n\r\n";
}

// What is wrong with an answer before its body is looked at.
std::optional<Error> refuse_head(const http::ResponseHead& head, std::size_t bytes_max) {
  if (head.status != 200) {
    const bool is_redirect = head.status >= 300 && head.status < 400;
    return make_error(Fault::unavailable,
                      "the answer has the status " + std::to_string(head.status) + (is_redirect ? "; redirects are not followed" : ""));
  }
  const http::Field* coding = nullptr;
  for (const http::Field& field : head.fields) {
    if (equals_ignoring_case(field.name, "content-encoding")) coding = &field;
  }
  if (coding != nullptr && !equals_ignoring_case(coding->value, "identity")) {
    return make_error(Fault::unsupported, "the answer is compressed, which was not asked for");
  }
  if (head.framing == http::Framing::length && head.content_length > bytes_max) {
    return make_error(Fault::too_large, "the answer has more than " + std::to_string(bytes_max) + " bytes");
  }
  return std::nullopt;
}

}  // namespace

Result<FetchUrl> FetchUrl::parse(std::string_view text) {
  if (text.size() > kUrlBytesMax) return malformed("is longer than " + std::to_string(kUrlBytesMax) + " bytes");
  FetchUrl url;
  const std::size_t separator = text.find("://");
  const std::string_view scheme = text.substr(0, separator);
  if (separator == std::string_view::npos || (scheme != "http" && scheme != "https")) return malformed("does not begin with https://");
  url.is_tls = scheme == "https";
  const std::string_view rest = text.substr(separator + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != std::string_view::npos) return malformed("holds a user or a password");
  std::string host;
  if (const Result<void> parsed = http::parse_host(authority, host); !parsed)
    return malformed("has no valid host: " + parsed.error().detail);
  // parse_host() took the port for checked: digits, and at most 65535.
  const std::size_t colon = authority.find(':', authority.front() == '[' ? authority.find(']') : 0);
  url.port = url.is_tls ? 443 : 80;
  if (colon != std::string_view::npos) url.port = static_cast<std::uint16_t>(parse_decimal(authority.substr(colon + 1)).value_or(0));
  if (url.port == 0) return malformed("has no valid port");
  url.host = host.front() == '[' ? host.substr(1, host.size() - 2) : host;
  url.authority = authority;
  url.target = rest.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');
  const auto is_bad = [](char c) { return c <= 0x20 || c >= 0x7F || c == '#' || c == '\\'; };
  if (std::any_of(url.target.begin(), url.target.end(), is_bad)) return malformed("has a fragment, or bytes that no path has");
  url.reach = reach_of(url.host);
  if (!url.is_tls && !is_loopback(url))
    return malformed("is http://: whoever is on the way could hand out keys of his own; expected https://");
  return url;
}

bool FetchUrl::may_reach(const IpAddress& address) const noexcept {
  switch (reach) {
    case Reach::literal: return IpAddress::parse(host) == address;
    case Reach::loopback: return contains(loopback_networks(), address);
    case Reach::private_: return !contains(never_reached(), address);
    case Reach::public_: return !contains(never_reached(), address) && !contains(private_networks(), address);
  }
  return false;
}

std::optional<std::chrono::seconds> stated_life(std::string_view cache_control) noexcept {
  std::optional<std::chrono::seconds> life;
  while (!cache_control.empty()) {
    const std::size_t comma = std::min(cache_control.find(','), cache_control.size());
    std::string_view directive = trim_ows(cache_control.substr(0, comma));
    cache_control.remove_prefix(std::min(comma + 1, cache_control.size()));
    const std::size_t equals = std::min(directive.find('='), directive.size());
    const std::string_view name = directive.substr(0, equals);
    if (equals_ignoring_case(name, "no-store") || equals_ignoring_case(name, "no-cache")) return std::chrono::seconds(0);
    if (!equals_ignoring_case(name, "max-age") || equals == directive.size()) continue;
    std::string_view value = directive.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    const auto seconds = parse_decimal(value);
    if (!seconds) continue;
    // RFC 9111 §1.2.2: what is too large to count is as long as can be.
    life = std::chrono::seconds(std::min<std::uint64_t>(*seconds, 2'147'483'647));
  }
  return life;
}

struct HttpsFetcher::Lookup {
  explicit Lookup(asio::io_context& context) : resolver(context.get_executor()), waiter(context.get_executor()) {}
  Resolver resolver;
  Timer waiter;
  bool done = false;
  std::string failure;
  std::vector<IpAddress> found;
};

HttpsFetcher::HttpsFetcher(FetchUrl url, transport::SslContext tls, asio::io_context& context, transport::DeadlineWheel& wheel,
                           const FetchLimits& limits)
    : url_(std::move(url)), tls_(std::move(tls)), context_(context), wheel_(wheel), limits_(limits) {}

HttpsFetcher::~HttpsFetcher() {
  if (lookup_) lookup_->resolver.cancel();
}

Result<std::unique_ptr<HttpsFetcher>> HttpsFetcher::create(FetchUrl url, const std::string& ca_file, asio::io_context& context,
                                                           transport::DeadlineWheel& wheel, const FetchLimits& limits) {
  transport::SslContext tls;
  if (url.is_tls) {
    transport::UpstreamTlsSettings settings;
    settings.ca_file = ca_file;
    Result<transport::SslContext> made = transport::make_tls_client_context(settings);
    if (!made) return made.error();
    tls = std::move(*made);
  }
  return std::unique_ptr<HttpsFetcher>(new HttpsFetcher(std::move(url), std::move(tls), context, wheel, limits));
}

void HttpsFetcher::abort() noexcept {
  aborted_ = true;
  if (lookup_) lookup_->waiter.cancel();
  if (stream_ != nullptr) stream_->abort();
}

Task<Result<std::vector<std::string>>> HttpsFetcher::addresses(MonotonicTime deadline) {
  std::vector<std::string> texts;
  if (url_.reach == FetchUrl::Reach::literal) {
    texts.push_back(url_.host);
    co_return texts;
  }
  // Asked anew each time, and what was judged here is what is connected to: between two questions the answer may change.
  const auto lookup = std::make_shared<Lookup>(context_);
  lookup_ = lookup;
  lookup->resolver.async_resolve(url_.host, std::to_string(url_.port), asio::ip::resolver_base::numeric_service,
                                 [lookup](const error_code& ec, const Resolver::results_type& results) {
                                   lookup->done = true;
                                   if (ec) lookup->failure = ec.message();
                                   for (const auto& entry : results) {
                                     const auto address = IpAddress::parse(entry.endpoint().address().to_string());
                                     if (address && lookup->found.size() < kAddressesMax) lookup->found.push_back(*address);
                                   }
                                   lookup->waiter.cancel();
                                 });
  lookup->waiter.expires_at(deadline);
  auto waited = co_await lookup->waiter.async_wait(as_result);
  static_cast<void>(waited);  // cancelled means woken; `done` tells
  if (!lookup->done) {
    lookup->resolver.cancel();
    co_return make_error(Fault::timed_out, "looking up the name took too long");
  }
  if (lookup->found.empty()) co_return make_error(Fault::not_found, "looking up the name: " + lookup->failure);
  for (const IpAddress& address : lookup->found) {
    if (url_.may_reach(address)) texts.push_back(address.text());
  }
  if (texts.empty()) {
    co_return make_error(Fault::unsupported,
                         "the name stands for " + lookup->found.front().text() + ", which is no address that it may reach");
  }
  co_return texts;
}

Task<Result<std::unique_ptr<transport::Stream>>> HttpsFetcher::connect(MonotonicTime deadline) {
  Result<std::vector<std::string>> candidates = co_await addresses(deadline);
  if (!candidates) co_return candidates.error();
  Error last = make_error(Fault::timed_out, "connecting took too long");
  for (const std::string& address : *candidates) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left <= std::chrono::milliseconds(0) || aborted_) break;
    transport::Connector connector(address, url_.port, tls_.get(), url_.host, context_, wheel_);
    Result<std::unique_ptr<transport::Stream>> stream = co_await connector.connect(std::min(left, limits_.connect));
    if (stream) co_return std::move(*stream);
    last = stream.error();
  }
  co_return last;
}

Task<Result<HttpsFetcher::Document>> HttpsFetcher::exchange(transport::Stream& stream) {
  const std::string request = request_text(url_);
  const std::span<const char> bytes(request);
  const IoResult sent = co_await stream.write_all(bytes);
  if (!sent.ok()) co_return read_failure(sent.status, "the request");

  ByteBuffer input;
  http::ResponseParser parser;
  http::ResponseHead head;
  std::size_t head_bytes = 0;
  for (int informational = 0; head_bytes == 0;) {
    const http::ResponseOutcome outcome = parser.parse(input.view(), http::Method::get, head);
    if (const auto* refused = std::get_if<http::ResponseRefused>(&outcome)) co_return malformed(std::string(refused->detail));
    if (const auto* parsed = std::get_if<http::HeadParsed>(&outcome)) {
      if (head.status >= 200) {
        if (auto refused = refuse_head(head, limits_.bytes_max)) co_return std::move(*refused);
        head_bytes = parsed->bytes;
        continue;
      }
      if (head.status == 101 || ++informational > http::Limits::kInformationalAnswersMax) co_return malformed("too many 1xx answers");
      input.consume(parsed->bytes);
      parser.reset();
      continue;
    }
    if (input.size() >= http::Limits::kAnswerHeaderBytesMax) co_return make_error(Fault::too_large, "the head of the answer is too large");
    const std::size_t wanted = std::min(kReadBytes, http::Limits::kAnswerHeaderBytesMax - input.size());
    const std::span<char> room = input.prepare(wanted).first(wanted);
    const IoResult read = co_await stream.read_some(room);
    if (!read.ok()) co_return read_failure(read.status, "the head of the answer");
    input.commit(read.bytes);
  }

  Document document;
  for (const http::Field& field : head.fields) {
    if (equals_ignoring_case(field.name, "cache-control")) document.life = stated_life(field.value);
  }
  http::BodyDecoder decoder;
  decoder.start(head.framing, head.content_length, limits_.bytes_max, http::Limits::kAnswerHeaderBytesMax,
                http::Limits::kAnswerHeaderFieldsMax);
  input.consume(head_bytes);
  for (;;) {
    const http::BodyDecoder::Step step = decoder.step(input.view());
    if (step.state == http::BodyDecoder::State::malformed) co_return malformed("the framing of the answer is broken");
    if (step.state == http::BodyDecoder::State::too_large) {
      co_return make_error(Fault::too_large, "the answer has more than " + std::to_string(limits_.bytes_max) + " bytes");
    }
    document.body += step.content;
    input.consume(step.consumed);
    if (decoder.complete()) co_return document;
    if (step.consumed != 0) continue;
    const std::span<char> room = input.prepare(kReadBytes).first(kReadBytes);
    const IoResult read = co_await stream.read_some(room);
    if (read.status == IoStatus::closed && decoder.end_of_input()) co_return document;
    if (!read.ok()) co_return read_failure(read.status, "the answer");
    input.commit(read.bytes);
  }
}

Task<Result<HttpsFetcher::Document>> HttpsFetcher::get() {
  const MonotonicTime deadline = std::chrono::steady_clock::now() + limits_.time;
  Result<std::unique_ptr<transport::Stream>> connected = co_await connect(deadline);
  if (!connected) co_return connected.error();
  if (aborted_) co_return make_error(Fault::closed, "nobody wants it any more");
  const std::unique_ptr<transport::Stream> stream = std::move(*connected);
  stream->expire_at(deadline);
  // However the exchange ends, abort() finds no stream that is gone.
  struct Lent {
    transport::Stream*& place;
    ~Lent() { place = nullptr; }
  } const lent{stream_};
  stream_ = stream.get();
  Result<Document> document = co_await exchange(*stream);
  stream->abort();
  co_return document;
}

}  // namespace sallyport::upstream
