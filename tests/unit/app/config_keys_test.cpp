#include "app/config_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "app/config_loader.hpp"
#include "support/configuration_folder.hpp"

namespace sallyport::app {
namespace {

using sallyport::testing::read_file;
using ::testing::IsEmpty;

std::optional<std::string> no_environment(const std::string&) { return std::nullopt; }

// What stands in `all`, `any` and `not` has the path of the requirement itself.
bool is_nested_requirement(const std::string& path, const std::string& key) {
  return path.ends_with(".require") && (key == "all" || key == "any" || key == "not");
}
// The keys of this mapping are the operator's own.
bool is_free(const std::string& path) {
  return path.ends_with(".identity.headers") || path.ends_with("_headers.add") || path.ends_with("_headers.set") ||
         path == "sessions.foreign.claims";
}

void collect(const Node& node, const std::string& path, std::set<std::string>& keys) {
  for (const Node& item : node.items) collect(item, path.ends_with(".require") ? path : path + "[]", keys);
  if (is_free(path)) return;
  for (const Member& member : node.members) {
    const std::string below = path.empty() ? member.key.text : path + "." + member.key.text;
    keys.insert(below);
    collect(member.value, is_nested_requirement(path, member.key.text) ? path : below, keys);
  }
}

void collect_file(const std::string& name, const std::string& path, std::set<std::string>& keys) {
  const Source source{name, ""};
  Problems problems;
  // What cannot stand beside the rest stands there as a comment: `# path: …  # default: …`.
  const std::string text =
      std::regex_replace(read_file(std::string(SALLYPORT_SOURCE_DIR) + "/" + name), std::regex("\n# ([a-z_]+: \\S+ +# )"), "\n  $1");
  const auto root = read_yaml(text, source, no_environment, problems);
  ASSERT_TRUE(root) << name;
  collect(*root, path, keys);
}

std::set<std::string> reference_keys() {
  std::set<std::string> keys;
  collect_file("config/gateway.reference.yaml", "", keys);
  collect_file("policies/reference.yaml", "policies[]", keys);
  return keys;
}

TEST(KnownKeys, TheReferenceShowsEveryKeyThatTheLoaderKnows) {
  const std::set<std::string> shown = reference_keys();
  std::vector<std::string> missing;
  for (const std::string& key : known_keys()) {
    if (!shown.contains(key)) missing.push_back(key);
  }
  EXPECT_THAT(missing, IsEmpty());
}

TEST(KnownKeys, TheReferenceShowsNoKeyThatTheLoaderDoesNotKnow) {
  const std::vector<std::string> known = known_keys();
  std::vector<std::string> unknown;
  for (const std::string& key : reference_keys()) {
    if (!std::binary_search(known.begin(), known.end(), key)) unknown.push_back(key);
  }
  EXPECT_THAT(unknown, IsEmpty());
}

TEST(KnownKeys, TheReferenceItselfHasNoProblems) {
  const sallyport::testing::ConfigurationFolder folder;
  const Loaded loaded = load_config(folder.file("config/gateway.reference.yaml"), no_environment);
  for (const Problem& problem : loaded.problems) ADD_FAILURE() << problem.text();
  EXPECT_TRUE(loaded.settings.has_value());
}

// The comment on each line of the reference says `required` or gives the default.
TEST(KnownKeys, TheReferenceSaysOfEachTopKeyWhetherItIsRequired) {
  const std::string text = read_file(std::string(SALLYPORT_SOURCE_DIR) + "/config/gateway.reference.yaml");
  for (const std::string key : {"version", "listeners", "upstreams", "policies"}) {
    const std::size_t at = text.find("\n" + key + ":");
    ASSERT_NE(at, std::string::npos) << key;
    EXPECT_NE(text.substr(at, text.find('\n', at + 1) - at).find("# required"), std::string::npos) << key;
  }
}

TEST(KnownKeys, HoldsEachKeyOnceAndItsParentToo) {
  const std::vector<std::string> keys = known_keys();
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end());
  for (const std::string& key : keys) {
    const std::size_t dot = key.rfind('.');
    if (dot == std::string::npos) continue;
    std::string parent = key.substr(0, dot);
    if (parent.ends_with("[]")) parent.resize(parent.size() - 2);
    EXPECT_TRUE(std::binary_search(keys.begin(), keys.end(), parent)) << key;
  }
}

TEST(KeysBelow, ListsTheChildrenAndNoGrandchildren) {
  std::vector<std::string> names;
  for (const Key* key : keys_below("shutdown")) names.emplace_back(key->path);
  EXPECT_THAT(names, ::testing::ElementsAre("shutdown.drain_timeout"));
  for (const Key* key : keys_below("")) EXPECT_EQ(key->path.find('.'), std::string_view::npos);
  EXPECT_THAT(keys_below("nothing"), IsEmpty());
}

}  // namespace
}  // namespace sallyport::app
