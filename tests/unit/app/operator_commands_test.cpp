// `session create`, `revoke` and `explain` with sessions: in the store itself, and through a gateway that runs.
#include "app/operator_commands.hpp"

#include <sstream>
#include <thread>

#include "app/open_store.hpp"
#include "app/operator_desk.hpp"
#include "configuration_fixture.hpp"
#include "support/scripted_upstream.hpp"

namespace sallyport::app {
namespace {

using sallyport::testing::Peer;
using sallyport::testing::ScriptedUpstream;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Operated {
  int code;
  std::string out;
  std::string error;
};

Operated operate(const std::vector<std::string>& arguments) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream error;
  const int code = run_command_line(arguments, {in, out, error}, nullptr);
  std::string text = out.str();
  if (text.ends_with('\n')) text.pop_back();
  return {code, text, error.str()};
}

class OperatorCommands : public ConfigurationFixture {
 protected:
  // A configuration of its own file and store, named for the test.
  std::string config(const std::string& sections) {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::string text = kConfig;
    text.insert(text.find("upstreams:"), sections);
    folder().write("policies/p.yaml", kPolicy);
    return folder().write("config/" + name + ".yaml", text);
  }
  std::string with_sessions(const std::string& more = "") {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    return config("store: { kind: embedded, path: ../state/" + name + ".db }\nsessions: { idle_timeout: 10m }\n" + more);
  }
  static Operated explain(const std::string& path, const std::string& session) {
    return operate({"explain", "--config", path, "--url", "https://api.example/api/x", "--header", "Cookie: __Host-session=" + session});
  }
};

TEST_F(OperatorCommands, CreateASessionThatExplainRecognises) {
  const std::string path = with_sessions();
  const Operated created = operate({"session", "create", "--config", path, "--subject", "alice", "--claims", R"({"roles":["admin"]})"});
  ASSERT_EQ(created.code, kDone) << created.error;
  EXPECT_EQ(created.out.size(), 64U);
  const Operated explained = explain(path, created.out);
  EXPECT_EQ(explained.code, kDone) << explained.out;
  EXPECT_THAT(explained.out, HasSubstr("subject alice"));
  EXPECT_THAT(explained.out, HasSubstr("identity: X-Auth-Roles: admin"));
}

TEST_F(OperatorCommands, ASessionThatWasRevokedIsRefused) {
  const std::string path = with_sessions();
  for (const std::string option : {"--session", "--subject"}) {
    SCOPED_TRACE(option);
    const Operated created = operate({"session", "create", "--config", path, "--subject", "alice"});
    ASSERT_EQ(created.code, kDone) << created.error;
    ASSERT_EQ(explain(path, created.out).code, kDone);
    const Operated revoked = operate({"revoke", "--config", path, option, option == "--session" ? created.out : "alice"});
    EXPECT_EQ(revoked.code, kDone) << revoked.error;
    EXPECT_EQ(explain(path, created.out).code, kRefused);
  }
}

TEST_F(OperatorCommands, ForgedSessionsAreRefusedByExplainToo) {
  const std::string path = with_sessions();
  EXPECT_EQ(explain(path, std::string(64, 'A')).code, kRefused);
}

TEST_F(OperatorCommands, RevokeWhatTheyCanName) {
  const std::string path = with_sessions();
  const std::string handle(64, 'a');
  EXPECT_EQ(operate({"revoke", "--config", path, "--token-id", "t-1"}).code, kDone);
  EXPECT_EQ(operate({"revoke", "--config", path, "--family", handle}).code, kDone);
  EXPECT_EQ(operate({"revoke", "--config", path, "--session", handle}).code, kDone);
  EXPECT_EQ(operate({"revoke", "--config", path, "--issued-before", "2026-01-01T00:00:00Z"}).code, kDone);
  EXPECT_EQ(operate({"revoke", "--config", path, "--subject", "alice", "--issued-before", "2026-01-01T00:00:00Z"}).code, kDone);
  EXPECT_EQ(operate({"revoke", "--config", path, "--session", "nonsense"}).code, kRefused);
  EXPECT_EQ(operate({"revoke", "--config", path, "--subject", ""}).code, kRefused);
  EXPECT_EQ(operate({"revoke", "--config", path, "--subject", "a", "--issued-before", "yesterday"}).code, kRefused);
}

TEST_F(OperatorCommands, SayWhatIsWrongWithTheirArguments) {
  const std::string path = with_sessions();
  EXPECT_EQ(operate({"revoke", "--config", path}).code, kUsage);
  EXPECT_EQ(operate({"revoke", "--config", path, "--subject", "a", "--token-id", "b"}).code, kUsage);
  EXPECT_EQ(operate({"session", "create", "--config", path}).code, kUsage);
  EXPECT_EQ(operate({"session", "create", "--config", path, "--subject", "a", "--claims", "[]"}).code, kUsage);
  EXPECT_EQ(operate({"session", "create", "--config", path, "--subject", "a", "--claims", "{"}).code, kUsage);
  EXPECT_EQ(operate({"session", "create", "--config", path, "--subject", ""}).code, kRefused);
  EXPECT_EQ(operate({"session", "create", "--config", path, "--subject", "a", "--claims", R"({"iss":"me"})"}).code, kRefused);
  EXPECT_EQ(operate({"session", "create", "--config", folder().file("none.yaml"), "--subject", "a"}).code, kRefused);
}

TEST_F(OperatorCommands, MakeNoSessionWhereNoRouteTakesOne) {
  const std::string path = config("store: { kind: embedded, path: ../state/nobody.db }\n");
  const Operated created = operate({"session", "create", "--config", path, "--subject", "a"});
  EXPECT_EQ(created.code, kRefused);
  EXPECT_THAT(created.out, IsEmpty());
}

TEST_F(OperatorCommands, Say4WhenTheStoreCannotBeReached) {
  // In the memory of a gateway that does not run.
  const std::string in_memory = config("sessions: { idle_timeout: 10m }\n");
  EXPECT_EQ(operate({"session", "create", "--config", in_memory, "--subject", "a"}).code, kStoreUnreachable);
  EXPECT_EQ(operate({"revoke", "--config", in_memory, "--subject", "a"}).code, kStoreUnreachable);
  const Operated explained = explain(in_memory, std::string(64, 'A'));
  EXPECT_EQ(explained.code, kRefused);
  EXPECT_THAT(explained.out, HasSubstr("could not be asked"));
  EXPECT_THAT(explained.out, HasSubstr("503"));
  // Held by another process.
  const std::string path = with_sessions();
  const Loaded loaded = load_config(path, environment);
  ASSERT_TRUE(loaded.settings);
  const auto holder = OpenedStore::open(*loaded.settings);
  ASSERT_TRUE(holder) << holder.error().detail;
  EXPECT_EQ(operate({"session", "create", "--config", path, "--subject", "a"}).code, kStoreUnreachable);
  EXPECT_EQ(operate({"revoke", "--config", path, "--subject", "a"}).code, kStoreUnreachable);
}

// ---- Through the gateway --------------------------------------------------------------------------------------------------------------

TEST_F(OperatorCommands, AskTheGatewayThatRuns) {
  struct Row {
    const char* name;
    std::string answer;
    int code;
    std::string out;
  };
  const auto document = [](const std::string& status, const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
  };
  const Row kRows[] = {
      {"created", document("201 Created", R"({"session":"the-value","handle":"h","cookie":"c"})"), kDone, "the-value"},
      {"refused", document("400 Bad Request", R"({"detail":"sub is empty"})"), kRefused, ""},
      {"the token is wrong", document("401 Unauthorized", "{}"), kRefused, ""},
      {"the store is away", document("503 Service Unavailable", "{}"), kStoreUnreachable, ""},
      {"no JSON", document("201 Created", "the-value"), kRefused, ""},
      {"no session in it", document("201 Created", "{}"), kRefused, ""},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    std::string head;
    std::string body;
    ScriptedUpstream gateway({[&](Peer& peer) {
      head = peer.read_head();
      body = peer.read_exactly(31);
      peer.write(row.answer);
    }});
    const std::string path =
        with_sessions("admin: { address: 127.0.0.1:" + std::to_string(gateway.port()) + ", token_file: secrets/admin.token }\n");
    const Operated ran = operate({"session", "create", "--config", path, "--subject", "alice"});
    gateway.stop();
    EXPECT_EQ(ran.code, row.code) << ran.error;
    EXPECT_EQ(ran.out, row.out);
    EXPECT_THAT(head, ::testing::StartsWith("POST /sessions HTTP/1.1\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nAuthorization: Bearer 4f9a60c1d2e37b5880aa17c6\r\n"));
    EXPECT_THAT(head, HasSubstr("\r\nContent-Type: application/json\r\n"));
    EXPECT_EQ(body, R"({"subject":"alice","claims":{}})");
  }
}

TEST_F(OperatorCommands, RevokeThroughTheGatewayThatRuns) {
  std::string head;
  std::string body;
  ScriptedUpstream gateway({[&](Peer& peer) {
    head = peer.read_head();
    body = peer.read_exactly(19);
    peer.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  }});
  const std::string path = with_sessions("admin: { address: 127.0.0.1:" + std::to_string(gateway.port()) + " }\n");
  const Operated ran = operate({"revoke", "--config", path, "--subject", "alice"});
  gateway.stop();
  EXPECT_EQ(ran.code, kDone) << ran.error;
  EXPECT_THAT(head, ::testing::StartsWith("POST /revocations HTTP/1.1\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Authorization")));
  EXPECT_EQ(body, R"({"subject":"alice"})");
}

TEST_F(OperatorCommands, GoToTheStoreWhenTheGatewayGivesNoAnswer) {
  for (const std::string answer : {"", "HTTP/1.1 20", "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{", "nonsense\r\n\r\n"}) {
    SCOPED_TRACE(answer);
    ScriptedUpstream gateway({[&](Peer& peer) {
      peer.read_head();
      peer.read_exactly(31);
      peer.write(answer);
    }});
    const std::string path = with_sessions("admin: { address: 127.0.0.1:" + std::to_string(gateway.port()) + " }\n");
    const Operated ran = operate({"session", "create", "--config", path, "--subject", "alice"});
    EXPECT_EQ(ran.code, kDone) << ran.error;
    EXPECT_EQ(ran.out.size(), 64U);
  }
}

}  // namespace
}  // namespace sallyport::app
