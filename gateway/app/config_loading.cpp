// What several sections have in common.
#include "app/config_loading.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {

constexpr std::string_view kHostPrefix = "__Host-";
constexpr std::string_view kSecurePrefix = "__Secure-";

}  // namespace

std::vector<std::string> read_texts(Problems& problems, const Node& node, std::string_view expected) {
  std::vector<std::string> texts;
  for (const Node* item : read_list(problems, node, expected)) {
    auto text = read_text(problems, *item, expected);
    if (!text) continue;
    if (std::ranges::find(texts, *text) != texts.end()) problems.error(item->at, fmt::format("{} stands in the list twice", shown(*item)));
    texts.push_back(std::move(*text));
  }
  return texts;
}

std::optional<JsonPointer> read_json_pointer(Problems& problems, const Node& node, std::string_view example) {
  const auto text = read_text(problems, node, fmt::format("a JSON pointer like {}", example));
  if (!text) return std::nullopt;
  Result<JsonPointer> parsed = JsonPointer::parse(*text);
  if (parsed) return std::move(*parsed);
  problems.error(node.at,
                 fmt::format("{} is no JSON pointer{}; expected something like {}", shown(node), because(node, parsed.error()), example));
  return std::nullopt;
}

std::vector<SecretFile> read_secret_files(Problems& problems, const Node& node, std::size_t bytes_min) {
  constexpr std::string_view kExpected = "the path of a secret file, or a list of them";
  std::vector<const Node*> nodes{&node};
  if (node.kind == Node::Kind::sequence) nodes = read_list(problems, node, kExpected);
  std::vector<SecretFile> files;
  for (const Node* item : nodes) {
    auto path = read_file_path(problems, *item, FileSecrecy::secret);
    if (!path) continue;
    Result<Secret> secret = read_secret_file(*path);
    if (!secret) {
      problems.error(item->at, not_usable(*item, secret.error()));
      continue;
    }
    if (secret->size() < bytes_min) {
      problems.error(item->at, fmt::format("the secret in {} is shorter than {} bytes and can be guessed", shown(*item), bytes_min));
      continue;
    }
    if (std::ranges::find(files, *path, &SecretFile::path) != files.end())
      problems.error(item->at, fmt::format("{} stands in the list twice", shown(*item)));
    files.push_back({std::move(*path), std::move(*secret)});
  }
  return files;
}

std::optional<std::string> read_cookie_name(Problems& problems, const Node& node) {
  auto name = read_text(problems, node, "the name of a cookie like __Host-session");
  if (!name) return std::nullopt;
  if (!is_token(*name) || *name == kHostPrefix || *name == kSecurePrefix) {
    problems.error(node.at, fmt::format("{} is no name of a cookie (RFC 6265 §4.1.1); expected one like __Host-session", shown(node)));
    return std::nullopt;
  }
  if (!name->starts_with(kHostPrefix)) {
    problems.warning(node.at, fmt::format("{} does not begin with '{}', which keeps other hosts of the site from setting the cookie",
                                          shown(node), kHostPrefix));
  }
  return name;
}

std::optional<authenticate::SameSite> read_same_site(Problems& problems, const Node& node, std::string_view path) {
  using authenticate::SameSite;
  static const Words<SameSite> kWords = {{"Strict", SameSite::strict}, {"Lax", SameSite::lax}, {"None", SameSite::none}};
  const auto value = read_keyword(problems, node, path, kWords);
  if (value == SameSite::none) {
    problems.warning(node.at,
                     "None lets pages of every other site send requests with the cookie; `csrf` is then all that tells them apart");
  }
  return value;
}

void claim_cookie(Loading& loading, const Place& at, std::string_view name, std::string_view owner) {
  const auto other = std::ranges::find(loading.cookies, name, &KnownCookie::name);
  if (other != loading.cookies.end()) {
    loading.problems.error(
        at, fmt::format("{} would have the name '{}', which is that of {}; expected different names", owner, name, other->owner));
    return;
  }
  loading.cookies.push_back({std::string(name), std::string(owner)});
}

}  // namespace sallyport::app
