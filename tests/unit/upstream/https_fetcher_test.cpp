#include "upstream/https_fetcher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include <boost/asio/co_spawn.hpp>

#include "support/scripted_upstream.hpp"
#include "tls_server.hpp"

namespace sallyport::upstream {
namespace {

using testing::ClosedPort;
using ::testing::HasSubstr;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::TlsServer;
using namespace std::chrono_literals;

ScriptedUpstream::Script serving(std::string answer) {
  return [answer = std::move(answer)](Peer& peer) {
    peer.read_head();
    peer.write(answer);
    peer.close_notify();
  };
}

std::string sized(const std::string& body, const std::string& fields = {}) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body;
}

class HttpsFetcherTest : public ::testing::Test {
 protected:
  ~HttpsFetcherTest() override {
    fetcher_.reset();
    wheel_.stop();
    context_.restart();
    context_.run();
  }
  Result<HttpsFetcher::Document> get(const std::string& url, const std::string& ca_file = {}) {
    auto parsed = FetchUrl::parse(url);
    if (!parsed) return parsed.error();
    auto made = HttpsFetcher::create(std::move(*parsed), ca_file, context_, wheel_, limits_);
    if (!made) return made.error();
    fetcher_ = std::move(*made);
    return get();
  }
  Result<HttpsFetcher::Document> get() {
    std::optional<Result<HttpsFetcher::Document>> result;
    boost::asio::co_spawn(context_, fetcher_->get(), [&](const std::exception_ptr& broken, Result<HttpsFetcher::Document> got) {
      if (broken) std::rethrow_exception(broken);
      result = std::move(got);
    });
    context_.restart();
    while (!result) context_.run_one();
    return std::move(*result);
  }
  Result<HttpsFetcher::Document> get(const ScriptedUpstream& server) {
    return get("http://127.0.0.1:" + std::to_string(server.port()) + "/keys");
  }
  // The fault, or the body.
  std::string outcome(const Result<HttpsFetcher::Document>& got) { return got ? got->body : std::string(name(got.error().fault)); }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_, 5ms};
  FetchLimits limits_{};
  std::unique_ptr<HttpsFetcher> fetcher_;
};

TEST_F(HttpsFetcherTest, GetsADocument) {
  std::string request;
  ScriptedUpstream server({[&](Peer& peer) {
    request = peer.read_head();
    peer.write(sized("the body", "Cache-Control: public, max-age=120\r\n"));
  }});
  const std::string port = std::to_string(server.port());
  const auto got = get("http://127.0.0.1:" + port + "/realms/x/keys?v=1");
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->body, "the body");
  EXPECT_EQ(got->life, 120s);
  server.stop();
  EXPECT_THAT(request, HasSubstr("GET /realms/x/keys?v=1 HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\n"));
  EXPECT_THAT(request, HasSubstr("Accept-Encoding: identity\r\n"));
}

TEST_F(HttpsFetcherTest, ReadsEveryFraming) {
  ScriptedUpstream server({serving("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
                           serving("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"),
                           serving("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde")});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(get(server)), "abcde") << i;
}

TEST_F(HttpsFetcherTest, E01_AnythingButA200IsNoDocument) {
  ScriptedUpstream server({serving("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}"),
                           serving("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}"), serving("HTTP/1.1 204 No Content\r\n\r\n"),
                           serving("HTTP/1.1 304 Same\r\n\r\n")});
  for (const std::string status : {"500", "404", "204", "304"}) {
    const auto got = get(server);
    ASSERT_FALSE(got) << status;
    EXPECT_EQ(got.error().fault, Fault::unavailable);
    EXPECT_THAT(got.error().detail, HasSubstr(status));
  }
}

TEST_F(HttpsFetcherTest, E01_E10_FollowsNoRedirect) {
  ScriptedUpstream elsewhere({serving(sized("elsewhere"))});
  ScriptedUpstream server({serving("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:" + std::to_string(elsewhere.port()) +
                                     "/\r\nContent-Length: 0\r\n\r\n")});
  const auto got = get(server);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().detail, HasSubstr("redirects are not followed"));
  EXPECT_EQ(elsewhere.connections(), 0);
}

TEST_F(HttpsFetcherTest, E01_ReportsARefusedConnectionAndAnUnknownName) {
  const ClosedPort nobody;
  EXPECT_EQ(outcome(get("http://127.0.0.1:" + std::to_string(nobody.port()) + "/")), "unavailable");
  limits_.time = 5s;
  const auto unknown = get("https://no-such-host.invalid/keys");
  ASSERT_FALSE(unknown);
  // Without a name server the resolver may also take longer than the timeout.
  EXPECT_TRUE(unknown.error().fault == Fault::not_found || unknown.error().fault == Fault::timed_out) << unknown.error().detail;
}

TEST_F(HttpsFetcherTest, E02_StopsAtTheLimit) {
  limits_.bytes_max = 1000;
  const std::string most(1000, 'x');
  const std::string more(1001, 'x');
  const auto chunked = [](const std::string& body) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + body.substr(0, 1000) + "\r\n" +
           (body.size() > 1000 ? "1\r\nx\r\n" : "") + "0\r\n\r\n";
  };
  ScriptedUpstream server({serving(sized(most)), serving(sized(more)), serving(chunked(most)), serving(chunked(more)),
                           serving("HTTP/1.1 200 OK\r\n\r\n" + most), serving("HTTP/1.1 200 OK\r\n\r\n" + more)});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(outcome(get(server)), most) << i;
    EXPECT_EQ(outcome(get(server)), "too_large") << i;
  }
}

TEST_F(HttpsFetcherTest, E02_AnEndlessAnswerIsCutOff) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\n\r\n");
    const std::string block(64 * 1024, ' ');
    for (int i = 0; i < 1600 && peer.write(block); ++i) {  // 100 MiB
    }
  }});
  EXPECT_EQ(outcome(get(server)), "too_large");
}

TEST_F(HttpsFetcherTest, E02_ASlowAnswerHasOneDeadlineForEverything) {
  limits_.time = 300ms;
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    while (peer.write("x")) std::this_thread::sleep_for(20ms);  // each byte in time for an idle timeout
  }});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(outcome(get(server)), "timed_out");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST_F(HttpsFetcherTest, E01_AServerThatHangsIsGivenUp) {
  limits_.time = 200ms;
  ScriptedUpstream server({[](Peer& peer) { peer.read_to_end(); }});
  EXPECT_EQ(outcome(get(server)), "timed_out");
}

TEST_F(HttpsFetcherTest, E02_CompressionIsRefused) {
  ScriptedUpstream server(
      {serving(sized("bomb", "Content-Encoding: gzip\r\n")), serving(sized("plain", "Content-Encoding: identity\r\n"))});
  EXPECT_EQ(outcome(get(server)), "unsupported");
  EXPECT_EQ(outcome(get(server)), "plain");
}

TEST_F(HttpsFetcherTest, E02_AnAnswerThatIsCutOffIsNone) {
  ScriptedUpstream server({serving("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), serving("HTTP/1.1 200 OK\r\nConte"),
                           serving("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), serving("nonsense\r\n\r\n"),
                           serving("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")});
  for (const char* const fault : {"broken", "broken", "broken", "malformed", "malformed"}) EXPECT_EQ(outcome(get(server)), fault);
}

TEST_F(HttpsFetcherTest, E07_AbortEndsAGetThatWaits) {
  ScriptedUpstream server({[](Peer& peer) { peer.read_to_end(); }});
  auto made = HttpsFetcher::create(*FetchUrl::parse("http://127.0.0.1:" + std::to_string(server.port()) + "/"), {}, context_, wheel_);
  ASSERT_TRUE(made);
  bool ended = false;
  boost::asio::co_spawn(context_, (*made)->get(), [&](const std::exception_ptr&, const Result<HttpsFetcher::Document>& got) {
    EXPECT_FALSE(got);
    ended = true;
  });
  while (server.connections() == 0) context_.run_one_for(10ms);
  context_.run_for(20ms);
  (*made)->abort();
  const auto began = std::chrono::steady_clock::now();
  while (!ended) context_.run_one_for(100ms);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

// TLS.

class HttpsFetcherTls : public HttpsFetcherTest {
 protected:
  std::string get_from(const test::CertificateWish& wish, const test::Identity* issuer, const std::string& host = "localhost") {
    const test::Identity identity = test::make_identity(wish, issuer);
    TlsServer tls(folder_, "server", identity);
    ScriptedUpstream server({[](Peer& peer) {
                              if (!peer.handshake_done()) return;
                              peer.read_head();
                              peer.write(sized("over tls"));
                              peer.close_notify();
                            }},
                            tls.context.get());
    return outcome(get("https://" + host + ":" + std::to_string(server.port()) + "/keys", ca_file_));
  }
  test::TemporaryFolder folder_;
  test::Identity ca_ = test::make_authority();
  std::string ca_file_ = folder_.write("ca.pem", test::certificate_pem(ca_));
};

TEST_F(HttpsFetcherTls, TakesACertificateOfItsAuthorityForItsName) {
  EXPECT_EQ(get_from({.common_name = "x", .alt_names = {test::dns("localhost")}}, &ca_), "over tls");
  EXPECT_EQ(get_from({.common_name = "x", .alt_names = {test::ip(std::string("\x7f\0\0\x01", 4))}}, &ca_, "127.0.0.1"), "over tls");
}

TEST_F(HttpsFetcherTls, E09_RefusesEveryOtherCertificate) {
  EXPECT_EQ(get_from({.common_name = "localhost", .alt_names = {test::dns("other.example")}}, &ca_), "mismatch");
  EXPECT_EQ(get_from({.common_name = "localhost", .alt_names = {}}, &ca_), "mismatch") << "the name in the subject alone";
  EXPECT_EQ(
      get_from({.common_name = "x", .alt_names = {test::dns("localhost")}, .not_before_seconds = -7200, .not_after_seconds = -3600}, &ca_),
      "mismatch")
      << "expired";
  EXPECT_EQ(get_from({.common_name = "x", .alt_names = {test::dns("localhost")}}, nullptr), "mismatch") << "signed by itself";
  const test::Identity stranger = test::make_authority("Another CA");
  EXPECT_EQ(get_from({.common_name = "x", .alt_names = {test::dns("localhost")}}, &stranger), "mismatch");
  EXPECT_EQ(get_from({.common_name = "x", .alt_names = {test::dns(std::string("localhost\0.evil.example", 22))}}, &ca_), "mismatch");
  EXPECT_EQ(get_from({.common_name = "x", .alt_names = {test::dns("localhost")}, .extended_key_usage = "clientAuth"}, &ca_), "mismatch");
}

TEST_F(HttpsFetcherTls, E01_AServerThatSpeaksNoTlsIsAFailure) {
  ScriptedUpstream server({[](Peer& peer) { peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); }});
  EXPECT_EQ(outcome(get("https://localhost:" + std::to_string(server.port()) + "/keys", ca_file_)), "broken");
}

// Without touching a network.

TEST(FetchUrl, TakesHttpsAnywhereAndHttpOnThisMachine) {
  const auto url = FetchUrl::parse("https://Issuer.Example:8443/keys?a=b");
  ASSERT_TRUE(url) << url.error().detail;
  EXPECT_EQ(url->host, "issuer.example");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/keys?a=b");
  EXPECT_EQ(FetchUrl::parse("https://issuer.example")->target, "/");
  EXPECT_EQ(FetchUrl::parse("https://issuer.example?x")->target, "/?x");
  EXPECT_EQ(FetchUrl::parse("https://[2001:db8::1]/k")->host, "2001:db8::1");
  for (const char* const local : {"http://127.0.0.1/k", "http://127.8.8.8:1/k", "http://[::1]:8080/k", "http://localhost/k"}) {
    EXPECT_TRUE(FetchUrl::parse(local)) << local;
  }
}

TEST(FetchUrl, E01_RefusesEverythingElse) {
  for (const char* const url : {"",
                                "issuer.example/keys",
                                "http://issuer.example/keys",
                                "http://10.0.0.1/keys",
                                "http://localhost.example/k",
                                "ftp://127.0.0.1/",
                                "HTTPS://issuer.example/",
                                "https://user@issuer.example/",
                                "https://u:p@issuer.example/",
                                "https://",
                                "https:///keys",
                                "https://issuer.example/#f",
                                "https://issuer.example/a b",
                                "https://issuer.example/\r\nX: y",
                                "https://issuer.example:0/",
                                "https://issuer.example:99999/",
                                "https://issuer.example:x/",
                                "https://a,b/",
                                "file:///etc/passwd",
                                "https://issuer.example\\@127.0.0.1/"}) {
    EXPECT_FALSE(FetchUrl::parse(url)) << url;
  }
  EXPECT_FALSE(FetchUrl::parse("https://issuer.example/" + std::string(2048, 'a')));
}

TEST(FetchUrl, E10_APublicNameReachesNoPrivateAddress) {
  const auto url = *FetchUrl::parse("https://issuer.example/keys");
  for (const char* const address : {"127.0.0.1",
                                    "10.1.2.3",
                                    "172.16.0.1",
                                    "172.31.255.255",
                                    "192.168.1.1",
                                    "169.254.169.254",
                                    "100.64.0.1",
                                    "0.0.0.0",
                                    "224.0.0.1",
                                    "255.255.255.255",
                                    "::1",
                                    "::",
                                    "fe80::1",
                                    "fc00::1",
                                    "fd00:ec2::254",
                                    "::ffff:127.0.0.1",
                                    "::ffff:169.254.169.254",
                                    "::127.0.0.1",
                                    "64:ff9b::7f00:1",
                                    "2002:7f00:1::",
                                    "ff02::1",
                                    "192.0.2.1",
                                    "2001:db8::1"}) {
    EXPECT_FALSE(url.may_reach(*IpAddress::parse(address))) << address;
  }
  for (const char* const address : {"93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:2800:220:1::1", "2a00:1450::1"}) {
    EXPECT_TRUE(url.may_reach(*IpAddress::parse(address))) << address;
  }
}

TEST(FetchUrl, E10_AConfiguredPrivateHostReachesItself) {
  const auto may = [](const char* url, const char* address) { return FetchUrl::parse(url)->may_reach(*IpAddress::parse(address)); };
  EXPECT_TRUE(may("https://10.0.0.5/keys", "10.0.0.5"));
  EXPECT_FALSE(may("https://10.0.0.5/keys", "10.0.0.6"));
  EXPECT_TRUE(may("http://localhost/keys", "127.0.0.1"));
  EXPECT_TRUE(may("http://localhost/keys", "::1"));
  EXPECT_FALSE(may("http://localhost/keys", "10.0.0.5"));
  for (const char* const url : {"https://keycloak/keys", "https://keycloak.auth.svc/keys", "https://keycloak.auth.svc.cluster.local/keys",
                                "https://id.corp.internal/keys", "https://id.home.arpa/keys"}) {
    EXPECT_TRUE(may(url, "10.0.0.5")) << url;
    EXPECT_FALSE(may(url, "169.254.169.254")) << url;
  }
}

TEST(StatedLife, ReadsCacheControl) {
  EXPECT_EQ(stated_life("max-age=300"), 300s);
  EXPECT_EQ(stated_life("public, Max-Age=\"60\" , must-revalidate"), 60s);
  EXPECT_EQ(stated_life("max-age=99999999999999999999"), std::nullopt);
  EXPECT_EQ(stated_life("max-age=9999999999999"), 2'147'483'647s);
  EXPECT_EQ(stated_life("no-store"), 0s);
  EXPECT_EQ(stated_life("max-age=300, no-cache"), 0s);
  for (const char* const nothing : {"", "public", "max-age", "max-age=", "max-age=-1", "max-age=1.5", "x-max-age=5", ",,,"}) {
    EXPECT_EQ(stated_life(nothing), std::nullopt) << nothing;
  }
}

}  // namespace
}  // namespace sallyport::upstream
