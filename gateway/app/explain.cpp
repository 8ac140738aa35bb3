#include "app/explain.hpp"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "app/config_loader.hpp"
#include "app/open_store.hpp"
#include "base/text.hpp"
#include "http/request_parser.hpp"
#include "pipeline/decide.hpp"
#include "pipeline/respond.hpp"

namespace sallyport::app {
namespace {

constexpr std::string_view kNone = "-";  // made per request; of no interest here

struct UrlParts {
  std::string_view scheme;  // empty: the URL began with '/'
  std::string_view authority;
  std::string target;
};

// Only cut apart, not judged: what is wrong with the parts is the request parser's to say.
std::optional<UrlParts> cut_url(std::string_view url) {
  UrlParts parts;
  if (url.starts_with('/') || url == "*") {
    parts.target = url;
    return parts;
  }
  const std::size_t separator = url.find("://");
  if (separator == std::string_view::npos) return std::nullopt;
  parts.scheme = url.substr(0, separator);
  if (parts.scheme != "http" && parts.scheme != "https") return std::nullopt;
  const std::string_view rest = url.substr(separator + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  parts.authority = rest.substr(0, end);
  parts.target = rest.substr(end);
  if (!parts.target.starts_with('/')) parts.target.insert(0, 1, '/');
  return parts;
}

bool has_control_byte(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; });
}

// The request as it would come over the wire; empty, with the reason in `why`, when the options do not make one line each.
std::string request_text(const ExplainOptions& options, const UrlParts& url, std::string& why) {
  if (has_control_byte(options.method) || options.method.empty() || options.method.find(' ') != std::string::npos) {
    why = "--method is no method";
    return {};
  }
  if (has_control_byte(url.target) || url.target.find(' ') != std::string::npos) {
    why = "--url holds a space or a control byte";
    return {};
  }
  std::string fields;
  bool has_host = false;
  for (const std::string& header : options.headers) {
    if (has_control_byte(header) || header.find(':') == std::string::npos) {
      why = "--header is no 'Name: value'";
      return {};
    }
    has_host = has_host || equals_ignoring_case(std::string_view(header).substr(0, header.find(':')), "Host");
    fields += header + "\r\n";
  }
  if (!has_host) fields.insert(0, fmt::format("Host: {}\r\n", url.authority.empty() ? "localhost" : url.authority));
  return fmt::format("{} {} HTTP/1.1\r\n{}\r\n", options.method, url.target, fields);
}

class Explainer {
 public:
  Explainer(const ExplainOptions& options, const Settings& settings, const Streams& streams)
      : options_(options), settings_(settings), out_(streams.out) {}

  int explain(const UrlParts& url, std::string_view text) {
    const http::Limits limits = settings_.listeners.empty() ? http::Limits{} : settings_.listeners.front().limits;
    http::RequestParser parser(limits);
    http::RequestHead request;
    const http::HeadOutcome outcome = parser.parse(text, request);
    if (const auto* refused = std::get_if<http::HeadRefused>(&outcome)) {
      line(fmt::format("request: refused, {}: {}", http::name(refused->fault), refused->detail));
      return answered(pipeline::answer_for(refused->fault));
    }
    if (!std::holds_alternative<http::HeadParsed>(outcome)) {
      line("request: refused, the head does not end");
      return kRefused;
    }
    line(fmt::format("request: {} {} for host {}", request.method_text, request.target.path(), request.host_name));
    // The order of pipeline.cpp.
    if (request.target.form() == http::TargetForm::asterisk) {
      line("route: the gateway answers `OPTIONS *` itself; nothing goes upstream");
      return kRefused;
    }
    if (request.target.path() == "/.gateway" || request.target.path().starts_with("/.gateway/")) {
      line("route: the gateway answers everything below /.gateway itself; nothing goes upstream");
      return kRefused;
    }
    return judge(url, request);
  }

 private:
  void line(std::string_view text) { out_ << text << '\n'; }

  int answered(const pipeline::Answer& answer) {
    line(fmt::format("answer: {} {}", answer.status, answer.title));
    return kRefused;
  }

  int judge(const UrlParts& url, const http::RequestHead& request) {
    if (!is_store_asked()) return judge(url, request, nullptr);
    const Result<std::unique_ptr<OpenedStore>> opened = OpenedStore::open(settings_);
    if (opened) return judge(url, request, opened->get());
    line("store: could not be asked, so sessions and revocations are not known: " + opened.error().detail);
    return judge(url, request, nullptr);
  }

  // A gateway that keeps nothing has nothing to say to a request that is not its own.
  [[nodiscard]] bool is_store_asked() const { return settings_.needs_store || settings_.store.redis || !settings_.store.path.empty(); }

  int judge(const UrlParts& url, const http::RequestHead& request, OpenedStore* opened) {
    constexpr std::size_t kCacheBytes = 1024 * 1024;
    boost::asio::io_context own_context{1};
    TaskGroup own_tasks(own_context, [](std::string_view) {});
    observe::WorkerMetrics metrics;
    const store::RevocationList none(1);
    const store::RevocationList& revocations = opened != nullptr ? opened->revocations() : none;
    authenticate::VerifiedTokenCache cache(1, kCacheBytes);
    authenticate::JwtAuthenticator tokens(cache, revocations);
    authenticate::SessionAuthenticator sessions({revocations, clock_, opened != nullptr ? opened->tasks() : own_tasks, metrics}, 1);
    if (opened != nullptr) {
      sessions.use_store(opened->store());
      if (const auto keys = opened->keys(settings_)) sessions.use_keys(*keys);
    }
    authenticate::Authenticator authenticator(tokens, sessions);
    const http::Peer peer{.listener = "explain", .address = options_.client_address, .port = 0, .is_tls = url.scheme != "http"};
    pipeline::Explanation explanation;
    const pipeline::Question question{request, peer, *settings_.snapshot, authenticator, clock_.wall_now(), &explanation};
    const pipeline::Verdict verdict =
        opened != nullptr ? opened->ask(pipeline::decide(question)) : run_to_end(own_context, pipeline::decide(question));
    if (opened != nullptr) opened->finish_tasks();
    for (const std::string& step : explanation) line(step);
    if (const auto* allowed = std::get_if<pipeline::Allowed>(&verdict)) return write_outbound(url, request, *allowed);
    if (const auto* denied = std::get_if<pipeline::DeniedOn>(&verdict)) return answered(pipeline::answer_for(denied->denied));
    if (const auto* missed = std::get_if<pipeline::NotRouted>(&verdict)) return answered(pipeline::answer_for(missed->outcome));
    return answered(pipeline::answer_for_two_credentials());
  }

  // A permit is not the end: a claim that may not become a header is refused after it.
  int write_outbound(const UrlParts& url, const http::RequestHead& request, const pipeline::Allowed& allowed) {
    if (identity::is_looping(request)) {
      line("upstream: refused, the request went through this gateway already");
      return answered(pipeline::answer_for_loop());
    }
    ByteBuffer head;
    const identity::OutboundContext context{.client_address = options_.client_address,
                                            .scheme = url.scheme == "http" ? "http" : "https",
                                            .request_id = kNone,
                                            .traceparent = kNone};
    const auto built =
        identity::OutboundRequest::build(allowed.permit, allowed.route->outbound, settings_.snapshot->owned_names, request, context, head);
    if (const auto* refused = std::get_if<identity::ClaimRefused>(&built)) {
      line(fmt::format("identity: refused, {}: {}", refused->header, refused->detail));
      return answered(pipeline::answer_for_refused_claim());
    }
    const auto& outbound = std::get<identity::OutboundRequest>(built);
    write_identity(outbound.head(), allowed.route->outbound);
    line(fmt::format("upstream: {} gets {} {}", settings_.snapshot->upstream_names[allowed.route->upstream], request.method_text,
                     outbound.target()));
    return kDone;
  }

  void write_identity(std::string_view head, const identity::OutboundPlan& plan) {
    for (std::string_view field : split(head, '\n')) {
      if (field.ends_with('\r')) field.remove_suffix(1);
      const std::string_view name = field.substr(0, field.find(':'));
      const bool is_ours = equals_ignoring_case(name, "X-Auth-Method") ||
                           std::ranges::any_of(plan.headers, [&](const auto& header) { return equals_ignoring_case(name, header.name); });
      if (is_ours) line(fmt::format("identity: {}", field));
    }
  }

  SystemClock clock_;
  const ExplainOptions& options_;
  const Settings& settings_;
  std::ostream& out_;
};

}  // namespace

int explain(const ExplainOptions& options, const Streams& streams) {
  const std::optional<UrlParts> url = cut_url(options.url);
  if (!url) {
    streams.error << "sallyport explain: --url is no http://HOST/PATH, https://HOST/PATH or /PATH\n";
    return kUsage;
  }
  std::string why;
  const std::string text = request_text(options, *url, why);
  if (text.empty()) {
    streams.error << "sallyport explain: " << why << '\n';
    return kUsage;
  }
  const Loaded loaded = load_config(options.config_path, process_environment);
  for (const Problem& problem : loaded.problems) streams.error << problem.text() << '\n';
  if (!loaded.settings) return kRefused;
  return Explainer(options, *loaded.settings, streams).explain(*url, text);
}

}  // namespace sallyport::app
