#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "base/text.hpp"
#include "observe/log.hpp"

namespace sallyport::observe {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr std::size_t kQueue = 1 << 20;

class LineWriterFile : public testing::Test {
 protected:
  LineWriterFile() {
    std::string pattern = (fs::temp_directory_path() / "line-writer-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~LineWriterFile() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static Sink sink(const std::string& path) { return {Sink::Kind::file, path}; }

 private:
  fs::path folder_;
};

std::string content(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

// Whether it becomes true within a time that only a broken writer needs.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string line_of(std::size_t bytes, char filling) {
  std::string line(bytes, filling);
  line.back() = '\n';
  return line;
}

struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() { EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_reader();
    close_writer();
  }
  void close_reader() { close_end(ends[0]); }
  void close_writer() { close_end(ends[1]); }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

// Everything until the last writer is gone.
std::string read_all(int descriptor) {
  std::string all;
  std::array<char, 65536> piece{};
  for (;;) {
    const ssize_t count = ::read(descriptor, piece.data(), piece.size());
    if (count <= 0) return all;
    all.append(piece.data(), static_cast<std::size_t>(count));
  }
}

TEST_F(LineWriterFile, AppendsWhatItIsGivenInOrder) {
  std::ofstream(path("log")) << "older\n";
  {
    LineWriter writer(sink(path("log")), kQueue);
    for (int i = 0; i < 1000; ++i) writer.write("line " + std::to_string(i) + "\n");
    EXPECT_EQ(writer.lost(), 0U);
    EXPECT_FALSE(writer.is_off());
  }
  std::string expected = "older\n";
  for (int i = 0; i < 1000; ++i) expected += "line " + std::to_string(i) + "\n";
  EXPECT_EQ(content(path("log")), expected);
}

TEST_F(LineWriterFile, KeepsTheLinesOfEveryThreadWhole) {
  {
    LineWriter writer(sink(path("log")), 64 * kQueue);
    std::vector<std::thread> threads;
    for (const char c : {'a', 'b', 'c', 'd'}) {
      threads.emplace_back([&writer, c] {
        for (int i = 0; i < 500; ++i) writer.write(line_of(101, c) + line_of(51, c));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const std::string text = content(path("log"));
  std::size_t lines = 0;
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    ++lines;
    EXPECT_TRUE(line.size() == 100 || line.size() == 50);
    EXPECT_EQ(line.find_first_not_of(line.front()), std::string_view::npos);
  }
  EXPECT_EQ(lines, 4000U);
}

TEST_F(LineWriterFile, OpensTheFileAgainForRotation) {
  LineWriter writer(sink(path("log")), kQueue);
  writer.write("first\n");
  EXPECT_TRUE(eventually([&] { return content(path("log")) == "first\n"; }));
  fs::rename(path("log"), path("log.1"));
  writer.reopen();
  writer.write("second\n");
  EXPECT_TRUE(eventually([&] { return content(path("log")) == "second\n"; }));
  EXPECT_EQ(content(path("log.1")), "first\n");
}

TEST_F(LineWriterFile, StaysWithTheOldFileWhenItCannotBeOpenedAgain) {
  fs::create_directory(path("logs"));
  LineWriter writer(sink(path("logs/log")), kQueue);
  fs::rename(path("logs"), path("moved"));
  EXPECT_THROW(writer.reopen(), std::runtime_error);
  writer.write("still\n");
  EXPECT_TRUE(eventually([&] { return content(path("moved/log")) == "still\n"; }));
}

TEST_F(LineWriterFile, NamesTheFileThatItCannotOpen) {
  try {
    LineWriter writer(sink(path("none/log")), kQueue);
    FAIL() << "opened";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(path("none/log")));
  }
  EXPECT_THROW(LineWriter(sink(path("")), kQueue), std::runtime_error);
}

TEST_F(LineWriterFile, DoesNotWaitForTheReaderOfAFifo) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THROW(LineWriter(sink(path("fifo")), kQueue), std::runtime_error);
}

TEST_F(LineWriterFile, EndsALineThatBroke) {
  LineWriter writer(sink(path("log")), kQueue);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 12;  // within the second line; the signal that comes with it is blocked in the writing thread
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  writer.write("0123456\n0123456\n0123456\n");
  const bool lost = eventually([&] { return writer.lost() == 2; });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(lost);
  writer.write("next\n");
  const std::string expected = "0123456\n0123\n{\"event\":\"log_lines_lost\",\"count\":2}\nnext\n";
  EXPECT_TRUE(eventually([&] { return content(path("log")) == expected; })) << content(path("log"));
}

TEST(LineWriter, CountsWhatAFullDiskCosts) {
  LineWriter writer(Sink{Sink::Kind::file, "/dev/full"}, kQueue);
  writer.write("one\ntwo\n");
  EXPECT_TRUE(eventually([&] { return writer.lost() == 2; }));
  writer.write("three\n");
  EXPECT_TRUE(eventually([&] { return writer.lost() >= 3; }));
}

TEST(LineWriter, SurvivesAPipeWithoutAReader) {
  Pipe pipe;
  LineWriter writer(pipe.ends[1], kQueue);
  pipe.close_reader();
  writer.write("one\ntwo\n");
  EXPECT_TRUE(eventually([&] { return writer.lost() == 2; }));
}

TEST(LineWriter, SurvivesASocketWithoutAReader) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  LineWriter writer(ends[1], kQueue);
  writer.write("seen\n");
  std::array<char, 16> seen{};
  EXPECT_EQ(::read(ends[0], seen.data(), seen.size()), 5);
  ::close(ends[0]);
  writer.write("unseen\n");
  EXPECT_TRUE(eventually([&] { return writer.lost() == 1; }));
  ::close(ends[1]);
}

struct Tally {
  std::uint64_t lines = 0;
  std::uint64_t reported = 0;
};

Tally tally(std::string_view text, std::size_t line_bytes) {
  Tally result;
  EXPECT_TRUE(text.ends_with('\n'));
  text.remove_suffix(1);
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with("{\"event\":\"log_lines_lost\"")) {
      const Result<Json> notice = Json::parse(line);
      EXPECT_TRUE(notice) << line;
      if (notice) result.reported += static_cast<std::uint64_t>(*notice->find("count")->number());
    } else {
      EXPECT_EQ(line.size() + 1, line_bytes);
      ++result.lines;
    }
  }
  return result;
}

TEST(LineWriter, NeverWaitsForAFullPipeAndSaysWhatItLost) {
  constexpr std::size_t kLineBytes = 128;
  constexpr std::uint64_t kLines = 20'000;  // 2.5 MB into a pipe of 64 KiB and a queue of 256 KiB
  const std::string line = line_of(kLineBytes, 'x');
  Pipe pipe;
  std::string seen;
  std::thread reader;
  std::uint64_t written = 0;
  std::uint64_t lost = 0;
  {
    LineWriter writer(pipe.ends[1], 256 * 1024);
    pipe.close_writer();
    // Nobody reads: if a caller waited for the pipe, this would not end.
    for (; written < kLines; ++written) writer.write(line);
    EXPECT_GT(writer.lost(), kLines / 2);
    EXPECT_LT(writer.lost(), kLines);
    reader = std::thread([&] { seen = read_all(pipe.ends[0]); });
    EXPECT_TRUE(eventually([&] {
      const std::uint64_t before = writer.lost();
      writer.write(line);
      ++written;
      return writer.lost() == before;  // there is room again
    }));
    lost = writer.lost();
  }
  reader.join();
  const Tally result = tally(seen, kLineBytes);
  EXPECT_EQ(result.lines + lost, written);
  EXPECT_EQ(result.reported, lost);
}

TEST(LineWriter, ReportsLossesAtTheVeryEndToo) {
  Pipe pipe;
  std::string seen;
  {
    LineWriter writer(pipe.ends[1], 8);
    pipe.close_writer();
    writer.write("this does not fit\n");
    EXPECT_EQ(writer.lost(), 1U);
  }
  EXPECT_EQ(read_all(pipe.ends[0]), "{\"event\":\"log_lines_lost\",\"count\":1}\n");
}

TEST(LineWriter, TakesTheLinesInFrontThatFit) {
  Pipe pipe;
  {
    LineWriter writer(pipe.ends[1], 8);
    pipe.close_writer();
    writer.write("123\n567\n9\n");
    EXPECT_EQ(writer.lost(), 1U);
  }
  EXPECT_EQ(read_all(pipe.ends[0]), "123\n567\n{\"event\":\"log_lines_lost\",\"count\":1}\n");
}

TEST(LineWriter, EndsWithinItsLastSecondWhenThePipeStaysFull) {
  Pipe pipe;
  const auto begin = std::chrono::steady_clock::now();
  {
    LineWriter writer(pipe.ends[1], kQueue);
    for (int i = 0; i < 1000; ++i) writer.write(line_of(1000, 'x'));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(LineWriter, LeavesTheFlagsOfASharedDescriptorAlone) {
  Pipe pipe;
  LineWriter writer(pipe.ends[1], kQueue);
  EXPECT_EQ(::fcntl(pipe.ends[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST(LineWriter, WritesNothingWhenOff) {
  LineWriter writer(Sink{Sink::Kind::off, ""}, kQueue);
  EXPECT_TRUE(writer.is_off());
  writer.write("line\n");
  writer.reopen();
  EXPECT_EQ(writer.lost(), 0U);
}

TEST(LineWriter, RefusesADescriptorThatIsNotOpen) { EXPECT_THROW(LineWriter(-1, kQueue), std::runtime_error); }

}  // namespace
}  // namespace sallyport::observe
