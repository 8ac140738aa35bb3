#include "http/http1_session.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <boost/asio/ip/tcp.hpp>
#include <future>
#include <thread>

#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "support/bystander.hpp"
#include "support/socket_client.hpp"
#include "unit/transport/stream_fixture.hpp"

namespace sallyport::http {
namespace {

using testing::SocketClient;

// What the scripted handler does with a request, by its path.
class ScriptedHandler final : public RequestHandler {
 public:
  explicit ScriptedHandler(Executor executor) : context(std::move(executor)) {}
  Task<void> handle(Exchange& exchange) override {
    const std::string path(exchange.request().target.path());
    ++handled;
    if (path == "/throw") throw std::runtime_error("the handler failed");
    if (path == "/refuse") {
      exchange.start(401, {}, {AnswerBody::Kind::sized, 2});
      static_cast<void>(co_await exchange.write("no"));
      static_cast<void>(co_await exchange.finish());
      co_return;
    }
    if (path == "/cut") {
      exchange.start(200, {}, {AnswerBody::Kind::sized, 10});
      static_cast<void>(co_await exchange.write("half"));
      static_cast<void>(co_await exchange.flush());
      exchange.abort();
      co_return;
    }
    if (path == "/long") {
      exchange.start(200, {}, {AnswerBody::Kind::sized, 4});
      static_cast<void>(co_await exchange.write("lo"));
      static_cast<void>(co_await exchange.flush());
      while (!may_end) co_await pause(context, std::chrono::milliseconds(1));
      static_cast<void>(co_await exchange.write("ng"));
      static_cast<void>(co_await exchange.finish());
      co_return;
    }
    if (path == "/cut-stream") {
      exchange.start(200, {}, {AnswerBody::Kind::stream});
      static_cast<void>(co_await exchange.write("half"));
      static_cast<void>(co_await exchange.flush());
      while (!may_end) co_await pause(context, std::chrono::milliseconds(1));
      exchange.abort();
      co_return;
    }
    if (path == "/short") {
      exchange.start(200, {}, {AnswerBody::Kind::sized, 10});
      static_cast<void>(co_await exchange.write("half"));
      static_cast<void>(co_await exchange.finish());
      co_return;
    }
    if (path == "/empty") {
      exchange.start(204, {}, {});
      static_cast<void>(co_await exchange.finish());
      co_return;
    }
    std::string body;
    if (path == "/here") {
      BodyPiece here = exchange.buffered_body();
      for (; here.state == BodyState::more && !here.bytes.empty(); here = exchange.buffered_body()) body += here.bytes;
      here_bytes = std::min(here_bytes.load(), body.size());
      here_state = here.state;
    }
    BodyPiece piece = co_await exchange.read_body();
    while (piece.state == BodyState::more) {
      body += piece.bytes;
      piece = co_await exchange.read_body();
    }
    last_state = piece.state;
    if (piece.state == BodyState::gone) co_return;
    if (path == "/stream") {
      exchange.start(200, {}, {AnswerBody::Kind::stream});
      static_cast<void>(co_await exchange.write("one"));
      static_cast<void>(co_await exchange.flush());
      static_cast<void>(co_await exchange.write("two"));
      static_cast<void>(co_await exchange.finish());
      co_return;
    }
    if (path.starts_with("/chunks/")) {
      exchange.start(200, {}, {AnswerBody::Kind::stream});
      static_cast<void>(co_await exchange.write(std::string(std::stoul(path.substr(8)), 'L')));
      static_cast<void>(co_await exchange.write(std::string(3'000, 'e')));
      static_cast<void>(co_await exchange.finish());
      co_return;
    }
    if (path == "/large") body.assign(1'000'000, 'L');
    const std::string answer = path + ":" + body;
    exchange.start(200, {}, {AnswerBody::Kind::sized, answer.size()});
    static_cast<void>(co_await exchange.write(answer));
    static_cast<void>(co_await exchange.finish());
  }

  Task<void> refuse(Exchange& exchange, RequestFault fault, std::string_view) override {
    ++refused;
    refused_method = exchange.request().method_text;
    const std::string_view why = name(fault);
    exchange.start(status_of(fault), {}, {AnswerBody::Kind::sized, why.size()});
    static_cast<void>(co_await exchange.write(why));
    static_cast<void>(co_await exchange.finish());
  }

  const Executor context;
  std::atomic<bool> may_end{false};
  std::atomic<int> handled{0};
  std::atomic<int> refused{0};
  std::string refused_method = "not called";
  std::atomic<BodyState> last_state{BodyState::end};
  std::atomic<std::size_t> here_bytes{SIZE_MAX};  // of /here, at least
  std::atomic<BodyState> here_state{BodyState::end};
};

// A server on a free port in a thread of its own; each connection is served by serve_http1.
class Http1SessionTest : public ::testing::Test {
 protected:
  void start() {
    listen();
    thread_ = std::thread([this] { context_.run(); });
  }
  // On the context's thread, and done when it returns: what is merely posted may come after what a socket says later.
  template <class Act>
  void run_there(Act act) {
    std::promise<void> done;
    boost::asio::post(context_, [&] {
      act();
      done.set_value();
    });
    done.get_future().wait();
  }
  // Without a thread: the test runs the context itself.
  void listen() {
    acceptor_.emplace(context_, boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    port_ = acceptor_->local_endpoint().port();
    tasks_.spawn(accept());
  }
  // How many of `requests`, sent at once, were handled at most while nobody else got the thread.
  std::size_t handled_in_a_turn(const std::string& requests, int count, void (*then)(SocketClient&) = [](SocketClient&) {}) {
    listen();
    // All of it is there before the first is served: a wait for what is still on its way would begin another turn.
    acceptor_->set_option(boost::asio::socket_base::receive_buffer_size(1024 * 1024));
    SocketClient client(port_);
    client.send(requests);
    then(client);
    testing::Bystander bystander(context_, [this] { return static_cast<std::size_t>(handler_.handled); });
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (handler_.handled < count && std::chrono::steady_clock::now() < patience) context_.run_one();
    EXPECT_EQ(handler_.handled, count);
    client.close();
    acceptor_->close();
    bystander.stop();
    while (tasks_.size() > 0 && std::chrono::steady_clock::now() < patience) context_.run_one_for(std::chrono::seconds(1));
    return bystander.widest();
  }
  ~Http1SessionTest() override {
    if (thread_.joinable()) {
      boost::asio::post(context_, [this] {
        acceptor_->close();
        if (current_ != nullptr) current_->abort();
        wheel_.stop();
      });
      thread_.join();
    }
  }

  Task<void> accept() {
    for (;;) {
      auto result = co_await acceptor_->async_accept(as_result);
      auto& [error, socket] = result;
      if (error) co_return;
      co_await serve(transport::Socket(std::move(socket)));
    }
  }
  Task<void> serve(transport::Socket socket) {
    transport::Stream stream(std::move(socket), wheel_);
    current_ = &stream;
    if (send_buffer_ > 0) ::setsockopt(stream.native_handle(), SOL_SOCKET, SO_SNDBUF, &send_buffer_, sizeof send_buffer_);
    if (tls_) {
      const Result<void> accepted = co_await stream.accept_tls(tls_.get());
      EXPECT_TRUE(accepted) << accepted.error().detail;
    }
    const SessionContext session{handler_, limits_, timeouts_, draining_, clock_};
    SessionState state;
    ++connections_;
    try {
      co_await serve_http1(stream, peer_, session, state);
    } catch (const std::exception&) {
      ++exceptions_;
    }
    current_ = nullptr;
  }

  static std::string get(std::string_view path, std::string_view more = "") {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: gateway.example\r\n" + std::string(more) + "\r\n";
  }
  // One answer with a Content-Length body.
  static std::string read_answer(SocketClient& client) {
    std::string text = client.read_until("\r\n\r\n");
    const std::size_t at = text.find("Content-Length: ");
    if (at == std::string::npos) return text;
    std::size_t size = std::stoul(text.substr(at + 16));
    char byte = 0;
    while (size-- > 0 && ::recv(client.fd(), &byte, 1, 0) == 1) text += byte;
    return text;
  }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_};
  TaskGroup tasks_{context_, [](std::string_view what) { ADD_FAILURE() << what; }};
  std::optional<boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, Executor>> acceptor_;
  transport::Stream* current_ = nullptr;
  transport::SslContext tls_;  // nullptr: clear text
  std::atomic<int> connections_{0};
  ScriptedHandler handler_{context_.get_executor()};
  Peer peer_{.listener = "test", .address = "127.0.0.1"};
  Limits limits_;
  Timeouts timeouts_;
  Draining draining_;
  SystemClock clock_;
  std::atomic<int> exceptions_{0};
  std::uint16_t port_ = 0;
  int send_buffer_ = 0;  // the kernel's usual
  std::thread thread_;
};

TEST_F(Http1SessionTest, KeepsTheConnectionForTheNextRequest) {
  start();
  SocketClient client(port_);
  client.send(get("/one"));
  EXPECT_TRUE(read_answer(client).ends_with("/one:"));
  client.send(get("/two"));
  EXPECT_TRUE(read_answer(client).ends_with("/two:"));
}

TEST_F(Http1SessionTest, K17_AnswersPipelinedRequestsInOrder) {
  start();
  SocketClient client(port_);
  std::string many;
  for (int i = 0; i < 50; ++i) many += get("/n" + std::to_string(i));
  client.send(many);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(read_answer(client).ends_with("/n" + std::to_string(i) + ":")) << i;
}

TEST_F(Http1SessionTest, M14_LetsOthersGoFirstBetweenPipelinedRequests) {
  std::string many;
  for (int i = 0; i < 300; ++i) many += get("/refuse");
  EXPECT_LE(handled_in_a_turn(many, 300), kRequestsPerTurn);
}

TEST_F(Http1SessionTest, M14_LetsOthersGoFirstBetweenRequestsThatEachFillARead) {
  // Nothing of the next is in the buffer when one is done, and yet nothing has to be waited for.
  std::string many;
  const std::string bare = get("/refuse", "X: \r\n");
  for (int i = 0; i < 40; ++i) many += get("/refuse", "X: " + std::string(4096 - bare.size(), 'x') + "\r\n");
  EXPECT_LE(handled_in_a_turn(many, 40), transport::Stream::kReadsPerTurn);
}

TEST_F(Http1SessionTest, K17_ServesNothingAfterAMalformedRequest) {
  start();
  SocketClient client(port_);
  client.send(get("/one") + "GET /two HTTP/1.1\r\nBad Header: x\r\n\r\n" + get("/three"));
  const std::string answers = client.read_to_end();
  EXPECT_TRUE(client.closed());
  EXPECT_NE(answers.find("/one:"), std::string::npos);
  EXPECT_NE(answers.find("HTTP/1.1 400 "), std::string::npos);
  EXPECT_EQ(answers.find("/three:"), std::string::npos);
  EXPECT_EQ(handler_.handled, 1);
}

TEST_F(Http1SessionTest, K18_IgnoresWhatFollowsAClosingRequest) {
  start();
  SocketClient client(port_);
  client.send(get("/one", "Connection: close\r\n") + get("/two"));
  const std::string answers = client.read_to_end();
  EXPECT_NE(answers.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(answers.find("/two:"), std::string::npos);
  EXPECT_EQ(handler_.handled, 1);
}

TEST_F(Http1SessionTest, K18_NeverResetsAnAnswerAwayOverBytesThatNobodyReads) {
  start();
  SocketClient client(port_);
  // The head fills the first read to the last byte: what follows stays in the kernel.
  const std::string bare = get("/large", "Connection: close\r\nX: \r\n");
  client.send(get("/large", "Connection: close\r\nX: " + std::string(4096 - bare.size(), 'x') + "\r\n") + "\r\n");
  // Most of it is still in the server's kernel when the connection closes.
  EXPECT_GT(client.read_to_end().size(), 1'000'000U);
  EXPECT_TRUE(client.closed());
}

TEST_F(Http1SessionTest, K14_FramesTheBodyOfAGet) {
  start();
  SocketClient client(port_);
  client.send(get("/a", "Content-Length: 5\r\n") + "hello" + get("/b"));
  EXPECT_TRUE(read_answer(client).ends_with("/a:hello"));
  EXPECT_TRUE(read_answer(client).ends_with("/b:"));
}

TEST_F(Http1SessionTest, K15_NeverTakesTheBodyOfARefusedRequestForARequest) {
  start();
  SocketClient client(port_);
  const std::string inner = get("/admin");
  client.send(get("/refuse", "Content-Length: " + std::to_string(inner.size()) + "\r\n") + inner + get("/next"));
  EXPECT_TRUE(read_answer(client).ends_with("no"));
  EXPECT_TRUE(read_answer(client).ends_with("/next:"));
  EXPECT_EQ(handler_.handled, 2);
}

TEST_F(Http1SessionTest, K15_ClosesWhenTheBodyOfARefusedRequestIsStillToCome) {
  start();
  SocketClient client(port_);
  client.send(get("/refuse", "Content-Length: 100\r\n") + "part");
  const std::string answer = client.read_to_end();
  EXPECT_NE(answer.find("HTTP/1.1 401 "), std::string::npos);
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(client.closed()) << "the answer must not be lost to a reset";
}

TEST_F(Http1SessionTest, I20_AsksForTheBodyOnlyWhenItIsRead) {
  start();
  SocketClient client(port_);
  client.send(get("/upload", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  EXPECT_TRUE(read_answer(client).ends_with("/upload:hello"));
}

TEST_F(Http1SessionTest, I20_RefusesWithoutA100AndCloses) {
  start();
  SocketClient client(port_);
  client.send(get("/refuse", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  const std::string answer = client.read_to_end();
  EXPECT_EQ(answer.find("100 Continue"), std::string::npos);
  EXPECT_NE(answer.find("HTTP/1.1 401 "), std::string::npos);
  EXPECT_TRUE(client.closed());
}

TEST_F(Http1SessionTest, DecodesAChunkedBodyThatComesByteByByte) {
  start();
  SocketClient client(port_);
  const std::string request =
      get("/c", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-User-Id: admin\r\n\r\n";
  for (const char byte : request) client.send({&byte, 1});
  EXPECT_TRUE(read_answer(client).ends_with("/c:hello world"));
  client.send(get("/next"));
  EXPECT_TRUE(read_answer(client).ends_with("/next:"));
}

TEST_F(Http1SessionTest, TakesWhatHasComeOfABodyWithoutAWait) {
  constexpr int kRequests = 30;  // each may read as much ahead as the first
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += get("/here", "Content-Length: 10000\r\n") + std::string(10'000, 'b');
  handled_in_a_turn(requests, kRequests);
  EXPECT_EQ(handler_.here_bytes, 10'000U);
  EXPECT_EQ(handler_.here_state, BodyState::end);
}

TEST_F(Http1SessionTest, GoesOnBehindWhatHasComeOfABody) {
  start();
  SocketClient client(port_);
  client.send(get("/here", "Content-Length: 10000\r\n") + std::string(6'000, 'b'));
  while (handler_.handled == 0) std::this_thread::yield();
  client.send(std::string(4'000, 'c') + get("/after"));
  EXPECT_TRUE(read_answer(client).ends_with("/here:" + std::string(6'000, 'b') + std::string(4'000, 'c')));
  EXPECT_TRUE(read_answer(client).ends_with("/after:"));
}

// Head and what is sent of the body fill the first read and the one after it, so that the next finds the end.
TEST_F(Http1SessionTest, K11_ABodyWhoseClientHasGoneIsNotComplete) {
  const std::string head = get("/here", "Content-Length: 30000\r\n");
  const std::size_t sent = 4 * 1024 - head.size() + 16 * 1024;
  handled_in_a_turn(head + std::string(sent, 'b'), 1, [](SocketClient& client) { client.finish_sending(); });
  EXPECT_EQ(handler_.here_bytes, sent);
  EXPECT_EQ(handler_.here_state, BodyState::gone);
  EXPECT_EQ(handler_.last_state, BodyState::gone);
}

TEST_F(Http1SessionTest, LeavesThePipelinedRequestBehindALateBody) {
  start();
  SocketClient client(port_);
  client.send(get("/a", "Content-Length: 100000\r\n"));
  client.send(std::string(100000, 'b') + get("/after"));
  EXPECT_TRUE(read_answer(client).ends_with(":" + std::string(100000, 'b')));
  EXPECT_TRUE(read_answer(client).ends_with("/after:"));
}

TEST_F(Http1SessionTest, M07_RefusesABodyOverTheLimitAndTakesOneAtIt) {
  limits_.body_bytes_max = 10;
  start();
  SocketClient at_limit(port_);
  at_limit.send(get("/a", "Content-Length: 10\r\nConnection: close\r\n") + "0123456789");
  EXPECT_NE(at_limit.read_to_end().find("/a:0123456789"), std::string::npos);
  SocketClient over(port_);
  over.send(get("/a", "Content-Length: 11\r\nConnection: close\r\n") + "0123456789A");
  over.read_to_end();
  EXPECT_EQ(handler_.last_state, BodyState::too_large);
}

TEST_F(Http1SessionTest, ChunksAnAnswerOfUnknownLength) {
  start();
  SocketClient client(port_);
  client.send(get("/stream"));
  const std::string answer = client.read_until("0\r\n\r\n");
  EXPECT_NE(answer.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
}

TEST_F(Http1SessionTest, ClosesBehindAnAnswerOfUnknownLengthToHttp10) {
  start();
  SocketClient client(port_);
  client.send("GET /stream HTTP/1.0\r\nHost: gateway.example\r\nConnection: keep-alive\r\n\r\n");
  const std::string answer = client.read_to_end();
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\nonetwo"));
}

TEST_F(Http1SessionTest, KeepsAnHttp10ConnectionWhenAsked) {
  start();
  SocketClient client(port_);
  client.send("GET /a HTTP/1.0\r\nHost: gateway.example\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(read_answer(client).find("Connection: keep-alive\r\n"), std::string::npos);
  client.send("GET /b HTTP/1.0\r\nHost: gateway.example\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().ends_with("/b:"));
}

TEST_F(Http1SessionTest, SendsNoBodyToHead) {
  start();
  SocketClient client(port_);
  client.send("HEAD /a HTTP/1.1\r\nHost: gateway.example\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 3\r\n"), std::string::npos);
  client.send(get("/b"));
  EXPECT_TRUE(client.read_until("\r\n").starts_with("HTTP/1.1 200"));
}

TEST_F(Http1SessionTest, SendsNeitherBodyNorLengthWith204) {
  start();
  SocketClient client(port_);
  client.send(get("/empty"));
  EXPECT_EQ(client.read_until("\r\n\r\n").find("Content-Length"), std::string::npos);
}

TEST_F(Http1SessionTest, O04_NeverLetsACutAnswerLookComplete) {
  start();
  for (const std::string path : {"/cut", "/short"}) {
    SocketClient client(port_);
    client.send(get(path));
    const std::string answer = client.read_to_end();
    EXPECT_FALSE(answer.ends_with("halfhalf")) << path;
    EXPECT_LT(answer.size(), answer.find("\r\n\r\n") == std::string::npos ? 1 : answer.find("\r\n\r\n") + 4 + 10) << path;
  }
}

// To HTTP/1.0 the end of the connection is the end of the answer: only a reset tells that this is not it.
TEST_F(Http1SessionTest, O04_ResetsACutAnswerThatOnlyTheEndWouldDelimit) {
  start();
  SocketClient client(port_);
  client.send("GET /cut-stream HTTP/1.0\r\nHost: gateway.example\r\n\r\n");
  EXPECT_EQ(client.read_until("half").substr(0, 15), "HTTP/1.1 200 OK");
  handler_.may_end = true;
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_TRUE(client.reset());
}

TEST_F(Http1SessionTest, LosesOneConnectionWhenTheHandlerThrows) {
  start();
  SocketClient client(port_);
  client.send(get("/throw"));
  EXPECT_EQ(client.read_to_end(), "");
  SocketClient next(port_);
  next.send(get("/fine"));
  EXPECT_TRUE(read_answer(next).ends_with("/fine:"));
  EXPECT_EQ(exceptions_, 1);
}

TEST_F(Http1SessionTest, M01_AnswersASlowHeadWith408WhateverDripsIn) {
  timeouts_.header = std::chrono::milliseconds(300);
  start();
  SocketClient client(port_);
  const std::string request = get("/slow");
  const auto begun = std::chrono::steady_clock::now();
  std::thread drip([&] {
    for (std::size_t i = 0; i + 1 < request.size(); ++i) {
      if (!client.send({&request[i], 1})) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (std::chrono::steady_clock::now() - begun > std::chrono::seconds(2)) return;
    }
  });
  const std::string answer = client.read_until("\r\n\r\n");
  const auto waited = std::chrono::steady_clock::now() - begun;
  drip.join();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_GE(waited, std::chrono::milliseconds(300));
  EXPECT_LT(waited, std::chrono::seconds(2));
  EXPECT_EQ(handler_.handled, 0);
}

TEST_F(Http1SessionTest, M01_ShowsNothingOfAHeadThatDidNotEnd) {
  timeouts_.header = std::chrono::milliseconds(200);
  start();
  SocketClient client(port_);
  client.send("GET /" + std::string(3000, 'a') + " HTTP/1.1\r\nHost: h\r\nX-A: ");
  client.send(std::string(2000, 'a'));  // the connection's buffer grows, and what was parsed before has moved
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(handler_.refused_method, "");
}

TEST_F(Http1SessionTest, M02_EndsASlowBodyAtItsDeadline) {
  timeouts_.body = std::chrono::milliseconds(300);
  start();
  SocketClient client(port_);
  client.send(get("/slow", "Content-Length: 1000\r\n") + "b");
  client.read_until("\r\n\r\n");
  EXPECT_EQ(handler_.last_state, BodyState::timed_out);
}

TEST_F(Http1SessionTest, M03_GivesUpOnAClientThatDoesNotRead) {
  timeouts_.write = std::chrono::milliseconds(300);
  start();
  SocketClient client(port_);
  const int small = 4096;
  ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  for (int i = 0; i < 20; ++i) client.send(get("/large"));
  // The server is one connection at a time: the next is served only when it has given up on the first.
  SocketClient next(port_);
  next.send(get("/fine"));
  EXPECT_TRUE(read_answer(next).ends_with("/fine:"));
}

// The end of an answer may have been taken without having gone out when the client's own end is read.
TEST_F(Http1SessionTest, ASlowReaderThatHasEndedItsDirectionGetsAllOfItsAnswer) {
  send_buffer_ = 8 * 1024;
  start();
  for (int i = 0; i < 20; ++i) {
    SocketClient client(port_);
    const int small = 32 * 1024;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client.send(get("/chunks/" + std::to_string(200'000 + i * 1'777)));
    client.finish_sending();
    std::string answer;
    std::array<char, 4096> piece{};
    for (ssize_t got = 1; got > 0;) {
      got = ::recv(client.fd(), piece.data(), piece.size(), 0);
      answer.append(piece.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    EXPECT_TRUE(answer.ends_with("eee\r\n0\r\n\r\n")) << answer.size() << " bytes";
  }
}

TEST_F(Http1SessionTest, M04_ClosesASilentConnection) {
  timeouts_.idle = std::chrono::milliseconds(200);
  start();
  SocketClient client(port_);
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_TRUE(client.closed());
}

TEST_F(Http1SessionTest, M04_ClosesASilentConnectionThatHasGivenItsBuffersBack) {
  timeouts_.buffered = std::chrono::milliseconds(1);
  timeouts_.idle = std::chrono::milliseconds(300);
  start();
  SocketClient client(port_);
  client.send(get("/one"));
  read_answer(client);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_TRUE(client.closed());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(250)) << "its whole patience";
}

TEST_F(Http1SessionTest, M04_BytesThatAreNoRequestDoNotProlongASilence) {
  timeouts_.buffered = std::chrono::milliseconds(1);
  timeouts_.idle = std::chrono::milliseconds(300);
  const test::TemporaryFolder folder;
  const test::IdentityFiles files =
      test::write_identity(folder, "server", test::make_identity({.common_name = "a.example", .alt_names = {}}));
  tls_ = *transport::make_tls_context(transport::TlsRole::server, transport::TlsVersion::v1_3);
  ASSERT_TRUE(transport::use_certificate(tls_.get(), {files.certificate_file, files.key_file}));
  SSL_CTX_set_num_tickets(tls_.get(), 0);  // so that nothing comes but the end
  start();
  SocketClient client(port_);
  const transport::SslContext context = test::plain_client_context();
  test::TlsPeer tls(client.fd(), context.get());
  ASSERT_TRUE(tls.handshake());
  const std::string record = std::string("\x17\x03\x03\x04\x00", 5) + std::string(200, 'x');  // a byte every 50 ms: ten seconds
  std::size_t sent = 0;
  pollfd readable{client.fd(), POLLIN, 0};
  while (sent < record.size() && ::poll(&readable, 1, 50) == 0) client.send(record.substr(sent++, 1));
  EXPECT_LT(sent, record.size());
}

TEST_F(Http1SessionTest, AnswersAConnectionThatHasGivenItsBuffersBack) {
  timeouts_.buffered = std::chrono::milliseconds(1);
  start();
  SocketClient client(port_);
  for (const std::string path : {"/one", "/two"}) {
    pollfd readable{client.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 200), 0) << "nothing comes of its falling asleep";
    const std::string request = get(path);
    client.send(request.substr(0, 5));
    EXPECT_EQ(::poll(&readable, 1, 10), 0);
    client.send(request.substr(5));
    EXPECT_TRUE(read_answer(client).ends_with(path + ":"));
  }
  EXPECT_EQ(connections_, 1);
}

TEST_F(Http1SessionTest, AnswersWithCloseWhileDraining) {
  start();
  SocketClient client(port_);
  client.send(get("/one"));
  read_answer(client);
  run_there([this] { draining_.value = true; });
  client.send(get("/two"));
  const std::string answer = client.read_to_end();
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("/two:"));
  EXPECT_TRUE(client.closed());
}

TEST_F(Http1SessionTest, AnswersARequestUnderWayWithCloseWhenItBeginsToDrain) {
  start();
  SocketClient client(port_);
  client.send("POST /slow HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 4\r\n\r\nbo");
  while (handler_.handled == 0) std::this_thread::yield();
  run_there([this] { draining_.value = true; });
  client.send("dy");
  const std::string answer = client.read_to_end();
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("/slow:body"));
}

struct DistrustedTest : Http1SessionTest {
  void distrust() {
    run_there([this] { peer_.is_distrusted = true; });
  }
};

TEST_F(DistrustedTest, P13_AnswersTheRequestAtHandWithClose) {
  start();
  SocketClient client(port_);
  client.send("POST /slow HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 4\r\n\r\nbo");
  while (handler_.handled == 0) std::this_thread::yield();
  distrust();
  client.send("dy" + get("/next"));
  const std::string answer = client.read_to_end();
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("/slow:body")) << answer;
  EXPECT_EQ(handler_.handled, 1);
}

TEST_F(DistrustedTest, P13_TakesNoPipelinedRequestBehindAnAnswerThatHasBegun) {
  start();
  SocketClient client(port_);
  client.send(get("/long") + get("/next"));
  EXPECT_TRUE(client.read_until("lo").ends_with("\r\n\r\nlo"));
  distrust();
  handler_.may_end = true;
  EXPECT_EQ(client.read_to_end(), "ng");
  EXPECT_TRUE(client.closed()) << "not reset over what was pipelined";
  EXPECT_EQ(handler_.handled, 1);
}

TEST_F(DistrustedTest, P13_TakesNoRequestThatHadOnlyBegun) {
  start();
  SocketClient client(port_);
  const std::string request = get("/late");
  client.send(request.substr(0, 20));
  while (connections_ == 0) std::this_thread::yield();
  distrust();
  client.send(request.substr(20));
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_EQ(handler_.handled, 0);
  EXPECT_EQ(handler_.refused, 0);
}

}  // namespace
}  // namespace sallyport::http
