#include "base/byte_buffer.hpp"

#include <algorithm>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(ByteBuffer, IsFilledAtTheEndAndConsumedAtTheFront) {
  ByteBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.view(), "");
  buffer.append("hello ");
  buffer.append("world");
  buffer.append('!');
  EXPECT_EQ(buffer.view(), "hello world!");
  buffer.consume(6);
  EXPECT_EQ(buffer.view(), "world!");
  buffer.truncate(5);
  EXPECT_EQ(buffer.view(), "world");
  buffer.consume(5);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.room().size(), buffer.capacity());
}

TEST(ByteBuffer, TakesBytesWrittenIntoItsRoom) {
  ByteBuffer buffer;
  const std::span<char> out = buffer.prepare(10);
  ASSERT_GE(out.size(), 10U);
  std::fill_n(out.data(), 10, 'x');
  buffer.commit(4);
  EXPECT_EQ(buffer.view(), "xxxx");
}

TEST(ByteBuffer, MovesItsContentToTheFrontBeforeItGrows) {
  ByteBuffer buffer;
  (void)buffer.prepare(1000);
  const std::size_t capacity = buffer.capacity();
  buffer.append(std::string(capacity, 'a'));
  buffer.consume(capacity - 10);
  (void)buffer.prepare(capacity - 10);
  EXPECT_EQ(buffer.capacity(), capacity);
  EXPECT_EQ(buffer.view(), std::string(10, 'a'));
  (void)buffer.prepare(capacity - 9);
  EXPECT_GE(buffer.capacity(), 2 * capacity);
  EXPECT_EQ(buffer.view(), std::string(10, 'a'));
}

TEST(ByteBuffer, KeepsViewsGoodWhileOnlyRoomIsAskedFor) {
  ByteBuffer buffer;
  buffer.append("stays");
  const std::string_view view = buffer.view();
  const std::span<char> room = buffer.room();
  ASSERT_FALSE(room.empty());
  room[0] = '!';
  buffer.commit(1);
  EXPECT_EQ(view, "stays");
  EXPECT_EQ(view.data(), buffer.view().data());
}

TEST(ByteBuffer, PrintsNumbers) {
  ByteBuffer buffer;
  for (const unsigned number : {0U, 9U, 10U, 99U, 100U}) {
    buffer.append_decimal(number);
    buffer.append(' ');
  }
  buffer.append_decimal(std::numeric_limits<std::uint64_t>::max());
  buffer.append(' ');
  buffer.append_hex(0);
  buffer.append(' ');
  buffer.append_hex(0xDEADBEEF01234567);
  EXPECT_EQ(buffer.view(), "0 9 10 99 100 18446744073709551615 0 deadbeef01234567");
}

TEST(ByteBuffer, IsMovedWithItsContent) {
  ByteBuffer a;
  a.append("content");
  ByteBuffer b(std::move(a));
  EXPECT_EQ(b.view(), "content");
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): a moved-from buffer is an empty one
  a.append("again");
  EXPECT_EQ(a.view(), "again");
  a = std::move(b);
  EXPECT_EQ(a.view(), "content");
  EXPECT_TRUE(b.empty());  // NOLINT(bugprone-use-after-move): as above
  EXPECT_EQ(b.capacity(), 0U);
  ByteBuffer& same = a;
  a = std::move(same);
  EXPECT_EQ(a.view(), "content");
}

TEST(ByteBuffer, GivesItsMemoryBack) {
  ByteBuffer buffer;
  buffer.append(std::string(10'000, 'x'));
  buffer.release();
  EXPECT_EQ(buffer.capacity(), 0U);
  EXPECT_EQ(buffer.view(), "");
  buffer.append("new");
  EXPECT_EQ(buffer.view(), "new");
}

TEST(ByteBuffer, AppendsNothing) {
  ByteBuffer buffer;
  buffer.append(std::string_view());
  EXPECT_EQ(buffer.capacity(), 0U);
  buffer.clear();
  EXPECT_TRUE(buffer.empty());
}

TEST(ByteBuffer, RefusesImpossibleSizes) {
  ByteBuffer buffer;
  buffer.append("x");
  EXPECT_THROW((void)buffer.prepare(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  EXPECT_EQ(buffer.view(), "x");
}

TEST(ByteBuffer, AgreesWithAStringOverManySteps) {
  std::mt19937 random(7);
  ByteBuffer buffer;
  std::string model;
  for (int step = 0; step < 5000; ++step) {
    if (random() % 2 == 0) {
      const std::string piece(random() % 200, static_cast<char>('a' + step % 26));
      buffer.append(piece);
      model += piece;
    } else {
      const std::size_t count = model.empty() ? 0 : random() % (model.size() + 1);
      buffer.consume(count);
      model.erase(0, count);
    }
    ASSERT_EQ(buffer.view(), model);
  }
}

}  // namespace
}  // namespace sallyport
