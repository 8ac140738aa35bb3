#include "app/token_commands.hpp"

#include <istream>
#include <ostream>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "authenticate/jwt.hpp"
#include "base/json.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {



// kCouldNotStart: there is no reading it.
std::optional<Secret> read_keys(const std::string& path, const Streams& streams) {
  Result<Secret> content = read_secret_file(path, kKeyFileBytesMax);
  if (content) return std::move(*content);
  streams.error << "sallyport: the file " << path << " cannot be read: " << content.error().detail << '\n';
  return std::nullopt;
}

int refuse(const Streams& streams, std::string_view why) {
  streams.error << "sallyport: " << why << '\n';
  return kRefused;
}

const authenticate::SigningKey* choose_key(const std::vector<authenticate::SigningKey>& keys, const std::optional<std::string>& key_id) {
  for (const authenticate::SigningKey& key : keys) {
    if (!key_id || key.key_id() == key_id) return &key;
  }
  return nullptr;
}

// The object's own text with members added before its last brace, so that numbers stay as they were written.
std::string with_member(std::string object, const JsonObject& members, std::string_view name, std::string_view json) {
  const std::size_t brace = object.rfind('}');
  object.insert(brace, fmt::format("{}\"{}\":{}", members.empty() ? "" : ",", name, json));
  return object;
}

// `valid` or `refused: REASON`; the detail is for stderr.
struct Judgement {
  bool is_valid = false;
  std::string reason;
  std::string detail;
};

Judgement refused(const identity::Refused& refusal) { return {false, std::string(identity::name(refusal.reason)), refusal.detail}; }

Judgement judge(std::string_view token, const authenticate::KeySet& keys, const std::vector<authenticate::Algorithm>& algorithms) {
  if (token.empty()) return {false, "empty", "an empty line is no token"};
  const auto parsed = authenticate::UnverifiedJws::parse(token);
  if (const auto* refusal = std::get_if<identity::Refused>(&parsed)) return refused(*refusal);
  const auto refusal = authenticate::JwtVerifier::verify_signature(std::get<authenticate::UnverifiedJws>(parsed), keys, algorithms);
  if (refusal) return refused(*refusal);
  return {true, {}, {}};
}

void print(const Judgement& judgement, std::ostream& out) {
  if (judgement.is_valid) {
    out << "valid\n";
  } else {
    out << "refused: " << judgement.reason << '\n';
  }
}

}  // namespace

int generate_keys(authenticate::Algorithm algorithm, const std::optional<std::string>& key_id, const Streams& streams) {
  const std::string made_up = fmt::format("{:016x}", random_u64());
  const Result<std::string> keys = authenticate::SigningKey::generate_jwks(algorithm, key_id.value_or(made_up));
  if (!keys) return refuse(streams, keys.error().detail);
  streams.out << *keys << '\n';
  return kDone;
}

int print_public_keys(const std::string& keys_file, const Streams& streams) {
  const std::optional<Secret> content = read_keys(keys_file, streams);
  if (!content) return kCouldNotStart;
  const Result<std::string> keys = authenticate::SigningKey::public_jwks(text_of(*content));
  if (!keys) return refuse(streams, keys.error().detail);
  streams.out << *keys << '\n';
  return kDone;
}

int sign_token(const SignOptions& options, WallTime now, const Streams& streams) {
  Result<Json> claims = Json::parse(options.claims);
  if (!claims || claims->object() == nullptr) {
    streams.error << "sallyport token sign: --claims is no JSON object" << (claims ? "" : ": " + claims.error().detail) << '\n';
    return kUsage;
  }
  const std::optional<Secret> content = read_keys(options.keys_file, streams);
  if (!content) return kCouldNotStart;
  const Result<std::vector<authenticate::SigningKey>> keys = authenticate::SigningKey::from_jwks(text_of(*content));
  if (!keys) return refuse(streams, keys.error().detail);
  const authenticate::SigningKey* key = choose_key(*keys, options.key_id);
  if (key == nullptr) return refuse(streams, fmt::format("no key has the kid {}", options.key_id.value_or("")));

  const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  std::string text = options.claims;
  for (const auto& [name, value] : {std::pair<std::string_view, std::int64_t>("iat", seconds), {"exp", seconds + options.ttl.count()}}) {
    if (claims->find(name) != nullptr) continue;  // what was asked for wins, wrong as it may be: this is how tests get their tokens
    text = with_member(std::move(text), *claims->object(), name, std::to_string(value));
    claims = Json::parse(text);
    if (!claims) return refuse(streams, claims.error().detail);
  }
  if (options.count > 1 && claims->find("jti") != nullptr) {
    return refuse(streams, "--count gives each token a jti of its own, so --claims may not have one");
  }
  const std::string series = fmt::format("{:016x}", random_u64());
  for (std::uint64_t i = 0; i < options.count; ++i) {
    const std::string own = options.count == 1 ? text : with_member(text, *claims->object(), "jti", fmt::format("\"{}-{}\"", series, i));
    const Result<std::string> token = authenticate::sign_jwt(*key, own, options.type);
    if (!token) return refuse(streams, token.error().detail);
    streams.out << *token << '\n';
  }
  return kDone;
}

int verify_tokens(const VerifyOptions& options, const Streams& streams) {
  const std::optional<Secret> content = read_keys(options.keys_file, streams);
  if (!content) return kCouldNotStart;
  std::vector<std::string> warnings;
  const Result<authenticate::KeySet> keys = authenticate::KeySet::from_text(text_of(*content), warnings);
  for (const std::string& warning : warnings) streams.error << "sallyport: " << warning << '\n';
  if (!keys) return refuse(streams, keys.error().detail);
  if (options.token) {
    const Judgement judgement = judge(*options.token, *keys, options.algorithms);
    print(judgement, streams.out);
    streams.error << "sallyport: the signature alone was checked; exp, aud, iss and every other claim were not\n";
    if (!judgement.is_valid) streams.error << "sallyport: " << judgement.detail << '\n';
    return judgement.is_valid ? kDone : kRefused;
  }
  bool all_valid = true;
  std::string line;
  while (std::getline(streams.in, line)) {
    const Judgement judgement = judge(line, *keys, options.algorithms);
    print(judgement, streams.out);
    all_valid = all_valid && judgement.is_valid;
  }
  return all_valid ? kDone : kRefused;
}

}  // namespace sallyport::app
