// The cases of http-desync-guardian (hazards K31): Severe and Ambiguous ones are refused, Compliant ones are taken.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <map>

#include "base/text.hpp"
#include "http/request_parser.hpp"
#include "vectors/corpora.hpp"

namespace sallyport::http {
namespace {

struct DesyncCase {
  std::string file;
  std::string name;
  std::string tier;
  std::string bytes;
};

std::string text_of(const YAML::Node& node) { return node && !node.IsNull() ? node.as<std::string>() : std::string(); }

// The head as bytes. Most cases have no Host, which is not what they are about: they get one.
std::string head_of(const YAML::Node& node) {
  std::string fields;
  bool has_host = false;
  for (const YAML::Node& field : node["headers"]) {
    const std::string name = text_of(field["name"]);
    has_host = has_host || equals_ignoring_case(name, "host");
    fields += name + ": " + text_of(field["value"]) + "\r\n";
  }
  const std::string version = text_of(node["version"]);
  std::string head = text_of(node["method"]) + " " + text_of(node["uri"]);
  if (!version.empty()) head += " " + version;
  head += "\r\n";
  if (!has_host) head += "Host: localhost\r\n";
  return head + fields + "\r\n";
}

std::vector<DesyncCase> read_cases(const std::filesystem::path& folder) {
  std::vector<DesyncCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    for (const YAML::Node& node : YAML::LoadFile(entry.path().string())) {
      cases.push_back({entry.path().filename().string(), text_of(node["name"]), text_of(node["expected"]["tier"]), head_of(node)});
    }
  }
  return cases;
}

std::string verdict(std::string_view bytes) {
  const Limits limits;
  RequestParser parser(limits);
  RequestHead head;
  const HeadOutcome outcome = parser.parse(bytes, head);
  if (std::holds_alternative<HeadRefused>(outcome)) return "refused";
  return std::holds_alternative<HeadParsed>(outcome) ? "taken" : "incomplete";
}

// Where the contract decides otherwise than the corpus, by case and with the clause that decides.
const std::map<std::string, std::string_view> kTakenByContract{
    {"Get with a body and Content-Length", "a body on any method is framed and forwarded"},
    {"Get with a body and Transfer-Encoding", "a body on any method is framed and forwarded"},
    {"Head with a body and Content-Length", "a body on any method is framed and forwarded"},
    {"Head with a body and Transfer-Encoding", "a body on any method is framed and forwarded"},
    {"Has a CL in GET", "a body on any method is framed and forwarded"},
    {"Has a TE in GET", "a body on any method is framed and forwarded"},
    {"Transfer_Encoding with underscore.", "an alias of a framing field frames nothing and is removed before the upstream"},
    {"Content_Length with underscore.", "an alias of a framing field frames nothing and is removed before the upstream"},
};
const std::map<std::string, std::string_view> kRefusedByContract{
    {"Different Transfer-Encoding headers", "one Transfer-Encoding, equal to chunked"},
    {"Different Transfer-Encoding headers combined", "one Transfer-Encoding, equal to chunked"},
    {"Transfer-Encoding with a param: chunked;custom_param", "one Transfer-Encoding, equal to chunked"},
    {"Correct TE OK", "one Transfer-Encoding, equal to chunked"},
    {"Transfer-Encoding: identity and chunked OK", "one Transfer-Encoding, equal to chunked"},
    {"Multiple transfer encoding headers in a single request OK", "one Transfer-Encoding, equal to chunked"},
    {"TE with custom parameters OK", "one Transfer-Encoding, equal to chunked"},
    {"Compliant URL", "no backslash and no fragment in a target"},
    {"International in URI", "targets are printable ASCII"},
    {"Empty URI", "a request line has a target"},
    {"%0D in URI is OK", "no encoded control byte in a path"},
    {"%0A in URI is OK", "no encoded control byte in a path"},
    {"%09 in URI is OK", "no encoded control byte in a path"},
};

class DesyncGuardian : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = corpora() / "aws-desync";
    if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "skipped: no aws-desync corpus at " << folder.string();
    cases_ = read_cases(folder);
  }
  // Every case of the tiers is `expected`, but for the named ones.
  void check(const std::vector<std::string>& tiers, std::string_view expected, std::size_t count,
             const std::map<std::string, std::string_view>& otherwise, std::string_view other_verdict) {
    std::size_t seen = 0;
    std::size_t excepted = 0;
    for (const DesyncCase& row : cases_) {
      if (std::find(tiers.begin(), tiers.end(), row.tier) == tiers.end()) continue;
      ++seen;
      const auto clause = otherwise.find(row.name);
      excepted += clause != otherwise.end() ? 1 : 0;
      EXPECT_EQ(clause == otherwise.end() ? expected : other_verdict, verdict(row.bytes)) << row.file << ": " << row.name << '\n'
                                                                                          << row.bytes;
    }
    EXPECT_EQ(count, seen);
    EXPECT_EQ(otherwise.size(), excepted) << "an exception names no case";
  }
  std::vector<DesyncCase> cases_;
};

TEST_F(DesyncGuardian, K31_RefusesSevereAndAmbiguousRequests) { check({"Severe", "Ambiguous"}, "refused", 116, kTakenByContract, "taken"); }

TEST_F(DesyncGuardian, K31_TakesCompliantRequests) { check({"Compliant"}, "taken", 28, kRefusedByContract, "refused"); }

// What the contract takes is framed by the one field that has the name, or by none.
TEST_F(DesyncGuardian, K31_FramesWhatItTakesByOneFieldOnly) {
  const Limits limits;
  RequestParser parser(limits);
  RequestHead head;
  for (const DesyncCase& row : cases_) {
    parser.reset();
    if (!std::holds_alternative<HeadParsed>(parser.parse(row.bytes, head))) continue;
    const bool length = head.count(FieldId::content_length) == 1;
    const bool chunked = head.count(FieldId::transfer_encoding) == 1;
    EXPECT_FALSE(length && chunked) << row.name;
    EXPECT_EQ(length ? Framing::length : chunked ? Framing::chunked : Framing::none, head.framing) << row.name;
  }
}

}  // namespace
}  // namespace sallyport::http
