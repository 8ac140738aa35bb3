#include "app/problems.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace sallyport::app {
namespace {

Problem at(const Place& place, std::string message) {
  return Problem{place.source == nullptr ? std::string() : place.source->name, place.line, place.column, std::move(message)};
}

std::vector<Problem> in_order(std::vector<Problem> problems) {
  std::sort(problems.begin(), problems.end());
  problems.erase(std::unique(problems.begin(), problems.end()), problems.end());
  return problems;
}

// Edits (insert, delete, replace, swap neighbours) between two words.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above[b.size()];
}

}  // namespace

std::string Problem::text() const { return fmt::format("{}:{}:{}: {}", file, line, column, message); }

std::string text(const Place& place) {
  return fmt::format("{}:{}:{}", place.source == nullptr ? std::string_view() : std::string_view(place.source->name), place.line,
                     place.column);
}

void Problems::error(const Place& place, std::string message) { errors_.push_back(at(place, std::move(message))); }
void Problems::warning(const Place& place, std::string message) { warnings_.push_back(at(place, std::move(message))); }
std::vector<ReadPath> Problems::take_files() {
  std::sort(files_.begin(), files_.end());
  files_.erase(std::unique(files_.begin(), files_.end()), files_.end());
  return std::move(files_);
}
std::vector<Problem> Problems::take_errors() { return in_order(std::move(errors_)); }
std::vector<Problem> Problems::take_warnings() { return in_order(std::move(warnings_)); }

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kWordBytesMax = 64;  // the distance costs the product of the lengths
  if (word.size() > kWordBytesMax) return {};
  std::string_view best;
  std::size_t best_distance = word.size() <= 4 ? 2 : 3;  // strictly nearer than this
  for (const std::string_view candidate : candidates) {
    const std::size_t edits = distance(word, candidate);
    if (edits < best_distance && edits < candidate.size()) {
      best_distance = edits;
      best = candidate;
    }
  }
  if (!best.empty() || word.size() < 4) return best;
  // `drain_time` for `drain_timeout`: cut short, or said at too great length.
  for (const std::string_view candidate : candidates) {
    if (candidate.starts_with(word) || (candidate.size() >= 4 && word.starts_with(candidate))) return candidate;
  }
  return best;
}

}  // namespace sallyport::app
