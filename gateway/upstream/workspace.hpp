// The memory of one exchange with an upstream, used again by the next.
#pragma once

#include <memory>
#include <vector>

#include "base/byte_buffer.hpp"
#include "http/body_decoder.hpp"
#include "http/head.hpp"
#include "http/response_parser.hpp"

namespace sallyport::upstream {

struct Workspace {
  static constexpr std::size_t kReadBytesMax = 64 * 1024;  // an answer's head, or a piece of its body
  static constexpr std::size_t kReadBytes = 16 * 1024;     // what is read at once until an answer proves larger

  ByteBuffer input;   // of the upstream, not consumed yet
  ByteBuffer output;  // what is sent first (head and early body), later a framed piece or its unsent rest
  http::ResponseParser parser;
  http::ResponseHead head;          // views into `input`
  std::vector<http::Field> fields;  // of the answer that goes downstream
  http::BodyDecoder decoder;
};

// Spare workspaces: memory follows the requests that are in flight, not the connections that are kept.
// A warm request finds one whose buffers and vectors have grown to what requests need.
class WorkspacePool {
 public:
  static constexpr std::size_t kSpareMax = 256;
  static constexpr std::size_t kSpareLargeMax = 32;  // beyond that many, only those that small exchanges have used

  [[nodiscard]] std::unique_ptr<Workspace> take();
  void give(std::unique_ptr<Workspace> workspace);

 private:
  std::vector<std::unique_ptr<Workspace>> spare_;
};

}  // namespace sallyport::upstream
