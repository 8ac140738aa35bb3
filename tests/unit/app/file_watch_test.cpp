#include "app/file_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include <boost/asio/co_spawn.hpp>

#include "support/temporary_folder.hpp"

namespace sallyport::app {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::Contains;
using ::testing::ElementsAre;

void write(const fs::path& path, std::string_view content) { std::ofstream(path, std::ios::binary) << content; }

class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() : root_(fs::canonical(folder_.path())) {
    auto made = FileWatch::create(context_);
    if (!made) throw std::runtime_error(made.error().detail);
    watch_ = std::move(*made);
  }
  [[nodiscard]] std::string at(const std::string& name) const { return (root_ / name).string(); }

  // Asks for a change; the answer will be in what it returns.
  std::shared_ptr<std::optional<bool>> ask() {
    auto told = std::make_shared<std::optional<bool>>();
    boost::asio::co_spawn(context_.get_executor(), watch_->changed(), [told](const std::exception_ptr&, bool changed) { *told = changed; });
    return told;
  }
  void wait_for(const std::optional<bool>& told, milliseconds at_most = milliseconds(20'000)) {
    const auto end = steady_clock::now() + at_most;
    if (context_.stopped()) context_.restart();
    while (!told && steady_clock::now() < end) context_.run_for(milliseconds(10));
  }
  // Whether a change is told; waits for as long as it takes when one is expected.
  bool is_told(bool expected = true) {
    const auto told = ask();
    wait_for(*told, expected ? milliseconds(20'000) : milliseconds(400));
    if (!*told) {
      watch_->stop();
      context_.run_for(milliseconds(50));
      return false;
    }
    return **told;
  }

  test::TemporaryFolder folder_;
  const fs::path root_;
  boost::asio::io_context context_;
  std::unique_ptr<FileWatch> watch_;
};

TEST_F(FileWatchTest, TellsThatAFileWasWritten) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  write(at("a.yaml"), "2");
  EXPECT_TRUE(is_told());
}

TEST_F(FileWatchTest, TellsOfARenameOverTheFileAsEditorsDo) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  write(at(".a.yaml.swap"), "2");
  fs::rename(at(".a.yaml.swap"), at("a.yaml"));
  EXPECT_TRUE(is_told());
}

TEST_F(FileWatchTest, TellsOfALinkThatIsSwappedAsKubernetesDoes) {
  fs::create_directory(at("..1"));
  fs::create_directory(at("..2"));
  write(at("..1/a.yaml"), "1");
  write(at("..2/a.yaml"), "2");
  fs::create_directory_symlink("..1", at("..data"));
  fs::create_symlink("..data/a.yaml", at("a.yaml"));
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  fs::create_directory_symlink("..2", at("..data_tmp"));
  fs::rename(at("..data_tmp"), at("..data"));
  ASSERT_TRUE(is_told());
  // Looked up anew, the other folder counts.
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  write(at("..2/a.yaml"), "3");
  EXPECT_TRUE(is_told());
}

TEST_F(FileWatchTest, TellsThatAMissingFileHasCome) {
  ASSERT_TRUE(watch_->watch({at("new.yaml")}));
  write(at("new.yaml"), "1");
  EXPECT_TRUE(is_told());
}

TEST_F(FileWatchTest, TellsThatAFileIsGone) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  fs::remove(at("a.yaml"));
  EXPECT_TRUE(is_told());
}

TEST_F(FileWatchTest, TellsThatItsModeWasChanged) {
  write(at("key"), "1");
  ASSERT_TRUE(watch_->watch({at("key")}));
  fs::permissions(at("key"), fs::perms::owner_read);
  EXPECT_TRUE(is_told());
}

TEST_F(FileWatchTest, TellsOfEveryFileThatFitsAPattern) {
  fs::create_directory(at("policies"));
  ASSERT_TRUE(watch_->watch({{at("policies/"), "*.yaml"}}));
  write(at("policies/b.yaml"), "1");
  EXPECT_TRUE(is_told());
}

// A log beside the policies would have them read again for each of its lines.
TEST_F(FileWatchTest, IsSilentAboutFilesThatFitNoPattern) {
  fs::create_directory(at("policies"));
  ASSERT_TRUE(watch_->watch({{at("policies/"), "*.yaml"}}));
  std::ofstream log(at("policies/access.log"), std::ios::binary);
  log << "a line" << std::endl;
  write(at("policies/.b.yaml"), "1");
  write(at("policies/b.yaml~"), "1");
  EXPECT_FALSE(watch_->is_being_written());
  EXPECT_FALSE(is_told(false));
}

TEST_F(FileWatchTest, TellsOfNoEditorsCopyWhateverThePattern) {
  ASSERT_TRUE(watch_->watch({{at(""), "*"}}));
  write(at(".b.yaml"), "1");
  write(at("b.yaml~"), "1");
  EXPECT_FALSE(is_told(false));
}

TEST_F(FileWatchTest, IsSilentAboutOtherFilesOfTheFolder) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  write(at("access.log"), "1");
  write(at(".hidden"), "1");
  EXPECT_FALSE(is_told(false));
}

// Somebody's log, for one.
TEST_F(FileWatchTest, LooksNowAndThenAtAFolderInWhichOthersWrite) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  const auto told = ask();
  constexpr std::size_t kLines = 200;
  std::size_t handlers = 0;
  for (std::size_t i = 0; i < kLines; ++i) {
    write(at("access.log"), "a line");
    handlers += context_.poll();
  }
  EXPECT_LT(handlers, kLines / 2);
  EXPECT_FALSE(*told);
  write(at("a.yaml"), "2");
  wait_for(*told);
  EXPECT_EQ(*told, true);
}

TEST_F(FileWatchTest, TellsWhenThereIsNoDescriptorToWaitWith) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto told = ask();
  context_.run_for(milliseconds(10));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(*told);
  write(at("a.yaml"), "2");
  wait_for(*told);
  EXPECT_EQ(*told, true);
}

TEST_F(FileWatchTest, TellsOfSeveralChangesOnce) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  for (int i = 0; i < 10; ++i) write(at("a.yaml"), std::to_string(i));
  EXPECT_TRUE(is_told());
  EXPECT_FALSE(is_told(false)) << "they were one change";
}

TEST_F(FileWatchTest, P14_WaitsForAWriterHoweverLongHePauses) {
  write(at("a.yaml"), "1");
  write(at("b.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml"), at("b.yaml")}));
  const auto told = ask();
  write(at("a.yaml"), "2");
  std::ofstream half(at("b.yaml"), std::ios::binary);
  half << "2, of which there is more" << std::flush;
  context_.run_for(FileWatch::kPatience + 2 * FileWatch::kQuiet);
  EXPECT_FALSE(*told) << "half of it would have been read";
  EXPECT_TRUE(watch_->is_being_written());
  half.close();
  wait_for(*told);
  EXPECT_EQ(*told, true);
  EXPECT_FALSE(watch_->is_being_written());
}

TEST_F(FileWatchTest, WhoeverAsksForWritersHidesNoChange) {
  write(at("a.yaml"), "1");
  ASSERT_TRUE(watch_->watch({at("a.yaml")}));
  const auto told = ask();
  context_.run_for(milliseconds(50));
  write(at("a.yaml"), "2");
  EXPECT_FALSE(watch_->is_being_written());
  wait_for(*told);
  EXPECT_EQ(*told, true);
}

TEST_F(FileWatchTest, FollowsTheWayOfAPath) {
  fs::create_directory(at("real"));
  write(at("real/file"), "1");
  fs::create_directory_symlink("real", at("link"));
  const std::string root = root_.string();
  EXPECT_THAT(names_on_the_way(at("link/file")), ElementsAre(WatchedName{root, "link"}, WatchedName{root + "/real", "file"}));
  EXPECT_THAT(names_on_the_way(at("none/file")), ElementsAre(WatchedName{root, "none"})) << "the folder has to come first";
  EXPECT_THAT(names_on_the_way(at("link/")), ElementsAre(WatchedName{root, "link"}, WatchedName{root + "/real", ""}));
  fs::create_symlink("round", at("round"));
  EXPECT_THAT(names_on_the_way(at("round")), Contains(WatchedName{root, "round"})) << "a loop ends";
}

}  // namespace
}  // namespace sallyport::app
