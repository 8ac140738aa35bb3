#include "store/revocation_list.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <unordered_map>

namespace sallyport::store {
namespace {

constexpr std::size_t kKindCount = 5;

std::size_t index_of(Revocation::Kind kind) noexcept { return static_cast<std::size_t>(kind); }

// Found by string_view, so that a look-up makes no string.
struct Hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
};

// Whether a revocation of `issued_before` covers what a credential says of its time. A whole second stands for all of its moments: the
// credential may have been issued at the first of them.
bool covers(WallTime issued_before, const RevocationList::Credential& credential) {
  if (!credential.issued_at) return true;
  if (!credential.in_whole_seconds) return *credential.issued_at <= issued_before;
  return std::chrono::floor<std::chrono::seconds>(*credential.issued_at) <= std::chrono::floor<std::chrono::seconds>(issued_before);
}

}  // namespace

struct RevocationList::Impl {
  struct Entry;
  using Table = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  // What ends when: the table of a thing, and the thing. The keys of a node-based table stay where they are.
  using Ends = std::multimap<WallTime, std::pair<Table*, const std::string*>>;
  struct Entry {
    WallTime issued_before;
    Ends::iterator end;
  };

  mutable std::shared_mutex mutex;
  std::array<Table, kKindCount> tables;  // by kind; that of `everything` has the empty text alone
  Ends ends;
  std::size_t entries_max = 0;
  std::atomic<std::size_t> entries{0};

  void forget(WallTime now) {
    while (!ends.empty() && ends.begin()->first <= now) {
      const auto [table, value] = ends.begin()->second;
      ends.erase(ends.begin());
      table->erase(table->find(*value));
    }
    entries = ends.size();
  }

  [[nodiscard]] bool revokes(Revocation::Kind kind, std::string_view value, const Credential& credential, WallTime now) const {
    const Table& table = tables[index_of(kind)];
    if (table.empty()) return false;
    const auto found = table.find(value);
    if (found == table.end() || found->second.end->first <= now) return false;
    // One session, family or token is meant, whatever it or its issuer's clock says of its time. A subject goes on after the moment.
    const bool goes_on = kind == Revocation::Kind::subject || kind == Revocation::Kind::everything;
    return !goes_on || covers(found->second.issued_before, credential);
  }
};

RevocationList::RevocationList(std::size_t entries_max) : impl_(std::make_unique<Impl>()) { impl_->entries_max = entries_max; }

RevocationList::~RevocationList() = default;

bool RevocationList::add(const Revocation& revocation, WallTime forget_at, WallTime now) {
  if (!revocation.issued_before) throw std::invalid_argument("a revocation without its time");
  const bool is_everything = revocation.kind == Revocation::Kind::everything;
  const std::string_view value = is_everything ? std::string_view() : std::string_view(revocation.value);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->forget(now);
    Impl::Table& table = impl_->tables[index_of(revocation.kind)];
    auto found = table.find(value);
    if (found == table.end()) {
      if (impl_->ends.size() >= impl_->entries_max) return false;
      found = table.try_emplace(std::string(value), Impl::Entry{*revocation.issued_before, impl_->ends.end()}).first;
      found->second.end = impl_->ends.emplace(forget_at, std::pair(&table, &found->first));
    } else {
      Impl::Entry& entry = found->second;
      entry.issued_before = std::max(entry.issued_before, *revocation.issued_before);
      if (entry.end->first < forget_at) {
        auto node = impl_->ends.extract(entry.end);
        node.key() = forget_at;
        entry.end = impl_->ends.insert(std::move(node));
      }
    }
    impl_->entries = impl_->ends.size();
  }
  // After the list has it: who still sees the old generation asked before the revocation, who sees the new one finds it.
  generation_.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

bool RevocationList::has_room() const noexcept { return impl_->entries.load() < impl_->entries_max; }

bool RevocationList::revokes(const Credential& credential, WallTime now) const {
  using Kind = Revocation::Kind;
  if (impl_->entries.load() == 0) return false;
  const std::shared_lock lock(impl_->mutex);
  const std::array<std::pair<Kind, std::string_view>, 4> shown{{{Kind::subject, credential.subject},
                                                                {Kind::session, credential.session},
                                                                {Kind::token_id, credential.token_id},
                                                                {Kind::family, credential.family}}};
  if (impl_->revokes(Kind::everything, {}, credential, now)) return true;
  return std::any_of(shown.begin(), shown.end(),
                     [&](const auto& part) { return !part.second.empty() && impl_->revokes(part.first, part.second, credential, now); });
}

std::optional<WallTime> RevocationList::revoked_until(std::string_view subject) const {
  using Kind = Revocation::Kind;
  std::optional<WallTime> until;
  const std::shared_lock lock(impl_->mutex);
  const std::array<std::pair<Kind, std::string_view>, 2> asked{{{Kind::everything, {}}, {Kind::subject, subject}}};
  for (const auto& [kind, value] : asked) {
    const Impl::Table& table = impl_->tables[index_of(kind)];
    const auto found = table.find(value);
    if (found == table.end()) continue;
    until = until ? std::max(*until, found->second.issued_before) : found->second.issued_before;
  }
  return until;
}

void RevocationList::forget(WallTime now) {
  const std::lock_guard lock(impl_->mutex);
  impl_->forget(now);
}

std::size_t RevocationList::size() const { return impl_->entries.load(); }

}  // namespace sallyport::store
