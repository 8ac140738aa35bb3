#include "upstream/workspace.hpp"

#include <utility>

namespace sallyport::upstream {

std::unique_ptr<Workspace> WorkspacePool::take() {
  if (spare_.empty()) return std::make_unique<Workspace>();
  std::unique_ptr<Workspace> workspace = std::move(spare_.back());
  spare_.pop_back();
  return workspace;
}

void WorkspacePool::give(std::unique_ptr<Workspace> workspace) {
  if (spare_.size() >= kSpareMax) return;
  workspace->input.clear();
  workspace->output.clear();
  workspace->parser.reset();
  workspace->head.fields.clear();
  workspace->fields.clear();
  // What one large exchange needed is not kept for the small ones.
  const std::size_t bytes_max = spare_.size() < kSpareLargeMax ? Workspace::kReadBytesMax : Workspace::kReadBytes;
  if (workspace->input.capacity() > bytes_max) workspace->input.release();
  if (workspace->output.capacity() > bytes_max) workspace->output.release();
  spare_.push_back(std::move(workspace));
}

}  // namespace sallyport::upstream
