#include "app/commands.hpp"

#include <ostream>

#include <fmt/format.h>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "app/config_loader.hpp"
#include "app/config_reader.hpp"
#include "app/explain.hpp"
#include "app/operator_commands.hpp"
#include "app/token_commands.hpp"
#include "app/version.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {

// What the command line said. Members keep what their subcommand did not set.
struct Arguments {
  RunOptions run;
  ExplainOptions explain;
  std::string config_path;
  std::string algorithm;
  std::string algorithms;
  std::string key_id;
  std::string keys_file;
  std::string token;
  std::string ttl = "15m";
  SignOptions sign;
  CreateSessionOptions create_session;
  RevokeOptions revoke;
};

struct Subcommands {
  CLI::App* run;
  CLI::App* check;
  CLI::App* explain;
  CLI::App* keys_generate;
  CLI::App* keys_public;
  CLI::App* token_sign;
  CLI::App* token_verify;
  CLI::App* session_create;
  CLI::App* revoke;
};

int usage(const Streams& streams, std::string_view why) {
  streams.error << "sallyport: " << why << '\n';
  return kUsage;
}

void declare_configuration_commands(CLI::App& top, Arguments& arguments, Subcommands& commands) {
  commands.run = top.add_subcommand("run", "serve until SIGTERM");
  commands.run->add_option("--config", arguments.run.config_path, "the configuration")->required();
  commands.check = top.add_subcommand("check", "print every problem of a configuration as FILE:LINE:COLUMN: message");
  commands.check->add_option("--config", arguments.config_path, "the configuration")->required();
  commands.explain = top.add_subcommand("explain", "print the decision on one request and the reason of each step");
  commands.explain->add_option("--config", arguments.explain.config_path, "the configuration")->required();
  commands.explain->add_option("--method", arguments.explain.method, "GET by default");
  commands.explain->add_option("--url", arguments.explain.url, "http(s)://HOST/PATH, or /PATH")->required();
  commands.explain->add_option("--header", arguments.explain.headers, "'Name: value', as often as needed")->allow_extra_args(false);
  commands.explain->add_option("--client-address", arguments.explain.client_address, "127.0.0.1 by default");
}

void declare_key_commands(CLI::App& top, Arguments& arguments, Subcommands& commands) {
  CLI::App* keys = top.add_subcommand("keys", "make keys");
  keys->require_subcommand(1);
  commands.keys_generate = keys->add_subcommand("generate", "a new private JWK Set on stdout");
  commands.keys_generate->add_option("--algorithm", arguments.algorithm, "ES256, RS256, EdDSA, HS256, …")->required();
  commands.keys_generate->add_option("--kid", arguments.key_id, "the key's id; made up without it");
  commands.keys_public = keys->add_subcommand("public", "the public halves of a private JWK Set on stdout");
  commands.keys_public->add_option("--keys", arguments.keys_file, "a private JWK Set")->required();

  CLI::App* token = top.add_subcommand("token", "sign and verify tokens");
  token->require_subcommand(1);
  commands.token_sign = token->add_subcommand("sign", "a token on stdout, for tests and tours");
  commands.token_sign->add_option("--keys", arguments.sign.keys_file, "a private JWK Set")->required();
  commands.token_sign->add_option("--claims", arguments.sign.claims, "a JSON object; iat and exp are added unless it has them")->required();
  commands.token_sign->add_option("--kid", arguments.key_id, "the key that signs; the first one without it");
  commands.token_sign->add_option("--ttl", arguments.ttl, "from iat to exp; 15m by default");
  commands.token_sign->add_option("--type", arguments.sign.type, "the `typ` header; JWT by default");
  commands.token_sign->add_option("--count", arguments.sign.count, "this many tokens, a line each, told apart by a jti")
      ->check(CLI::Range(1, 10'000'000));
  commands.token_verify = token->add_subcommand("verify", "the signature alone: `valid` or `refused: REASON`");
  commands.token_verify->add_option("--keys", arguments.keys_file, "a JWK Set or PEM")->required();
  commands.token_verify->add_option("--algorithms", arguments.algorithms, "those that are allowed: RS256,ES256")->required();
  commands.token_verify->add_option("token", arguments.token, "without it: one per line on stdin");
}

void declare_operator_commands(CLI::App& top, Arguments& arguments, Subcommands& commands) {
  CLI::App* session = top.add_subcommand("session", "sessions");
  session->require_subcommand(1);
  commands.session_create = session->add_subcommand("create", "a new session; prints the value of its cookie");
  commands.session_create->add_option("--config", arguments.create_session.config_path, "the configuration")->required();
  commands.session_create->add_option("--subject", arguments.create_session.subject, "whose")->required();
  commands.session_create->add_option("--claims", arguments.create_session.claims, "a JSON object of what is known of the subject");

  commands.revoke = top.add_subcommand("revoke", "refuse what was issued until now, on every gateway of the store");
  commands.revoke->add_option("--config", arguments.revoke.config_path, "the configuration")->required();
  CLI::Option_group* what = commands.revoke->add_option_group("what");
  what->add_option("--subject", arguments.revoke.subject, "every session and token of the subject");
  what->add_option("--session", arguments.revoke.session, "the value of a session cookie, or a session's handle");
  what->add_option("--token-id", arguments.revoke.token_id, "the `jti` of a token");
  what->add_option("--family", arguments.revoke.family, "a refresh token, or the handle of its family");
  commands.revoke->add_option("--issued-before", arguments.revoke.issued_before,
                              "what was issued until then (RFC 3339) instead of until now; alone: whoever it belongs to");
}

int revoke(const Arguments& arguments, const Streams& streams) {
  const RevokeOptions& options = arguments.revoke;
  const int named = (options.subject ? 1 : 0) + (options.session ? 1 : 0) + (options.token_id ? 1 : 0) + (options.family ? 1 : 0);
  if (named > 1 || (named == 0 && !options.issued_before)) {
    return usage(streams, "revoke: expected one of --subject, --session, --token-id, --family, or --issued-before alone");
  }
  return revoke(options, streams);
}

int check(const std::string& config_path, const Streams& streams) {
  const Loaded loaded = load_config(config_path, process_environment);
  for (const Problem& warning : loaded.warnings) streams.error << "warning: " << warning.text() << '\n';
  for (const Problem& problem : loaded.problems) streams.out << problem.text() << '\n';
  if (!loaded.settings) {
    streams.error << fmt::format("{}: {} {}\n", config_path, loaded.problems.size(), loaded.problems.size() == 1 ? "problem" : "problems");
    return kRefused;
  }
  streams.out << config_path << ": valid\n";
  return kDone;
}

int generate(const Arguments& arguments, const CLI::App& command, const Streams& streams) {
  const auto algorithm = authenticate::parse_algorithm(arguments.algorithm);
  if (!algorithm) return usage(streams, fmt::format("--algorithm: '{}' is no algorithm", arguments.algorithm));
  std::optional<std::string> key_id;
  if (command.count("--kid") != 0) key_id = arguments.key_id;
  return generate_keys(*algorithm, key_id, streams);
}

int sign(const Arguments& arguments, const CLI::App& command, const Streams& streams) {
  SignOptions options = arguments.sign;
  const auto ttl = parse_duration(arguments.ttl);
  if (!ttl) return usage(streams, fmt::format("--ttl: '{}' is no duration like 15m", arguments.ttl));
  options.ttl = std::chrono::floor<std::chrono::seconds>(*ttl);
  if (command.count("--kid") != 0) options.key_id = arguments.key_id;
  return sign_token(options, SystemClock().wall_now(), streams);
}

int verify(const Arguments& arguments, const CLI::App& command, const Streams& streams) {
  VerifyOptions options;
  options.keys_file = arguments.keys_file;
  for (const std::string_view name : split(arguments.algorithms, ',')) {
    const auto algorithm = authenticate::parse_algorithm(name);
    if (!algorithm) return usage(streams, fmt::format("--algorithms: '{}' is no algorithm", name));
    options.algorithms.push_back(*algorithm);
  }
  if (command.count("token") != 0) options.token = arguments.token;
  return verify_tokens(options, streams);
}

int dispatch(const Arguments& arguments, const Subcommands& commands, const Streams& streams, int (*serve)(const RunOptions&)) {
  if (commands.run->parsed()) return serve(arguments.run);
  if (commands.check->parsed()) return check(arguments.config_path, streams);
  if (commands.explain->parsed()) return explain(arguments.explain, streams);
  if (commands.keys_generate->parsed()) return generate(arguments, *commands.keys_generate, streams);
  if (commands.keys_public->parsed()) return print_public_keys(arguments.keys_file, streams);
  if (commands.token_sign->parsed()) return sign(arguments, *commands.token_sign, streams);
  if (commands.token_verify->parsed()) return verify(arguments, *commands.token_verify, streams);
  if (commands.session_create->parsed()) return create_session(arguments.create_session, streams);
  if (commands.revoke->parsed()) return revoke(arguments, streams);
  return usage(streams, "nothing to do");
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments, const Streams& streams, int (*serve)(const RunOptions&)) {
  CLI::App top("A reverse proxy that lets nothing through that it has not checked.", "sallyport");
  top.set_version_flag("--version", fmt::format("sallyport {}", kVersion));
  top.require_subcommand(1);
  Arguments parsed;
  Subcommands commands{};
  declare_configuration_commands(top, parsed, commands);
  declare_key_commands(top, parsed, commands);
  declare_operator_commands(top, parsed, commands);
  try {
    top.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& error) {
    // Help and version arrive as exceptions too, with the exit code 0.
    return top.exit(error, streams.out, streams.error) == 0 ? kDone : kUsage;
  }
  return dispatch(parsed, commands, streams, serve);
}

}  // namespace sallyport::app
