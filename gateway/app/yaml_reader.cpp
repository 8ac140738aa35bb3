#include "app/yaml_reader.hpp"

#include <istream>
#include <limits>
#include <stdexcept>
#include <streambuf>
#include <unordered_map>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "base/text.hpp"

namespace sallyport::app {
namespace {

// Ends the reading from inside an event.
struct GiveUp {
  Place at;
  std::string message;
};

class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // setg() wants char*; nothing writes through it
    setg(begin, begin, begin + text.size());
  }
};

bool is_name_byte(char c, bool first) {
  return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (!first && c >= '0' && c <= '9');
}

// Makes nodes of yaml-cpp's events. Events carry a mark for everything, the tree API of yaml-cpp only for values; and they
// come while the text is read, so that a limit ends the reading where it is passed.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, const Source& source, Environment environment, Problems& problems, const YamlLimits& limits)
      : text_(text), source_(source), environment_(environment), problems_(problems), limits_(limits) {}

  std::optional<Node> take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw GiveUp{place(mark), "a second document begins here; a file holds one"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node = make(Node::Kind::blank, mark);
    const auto position = static_cast<std::size_t>(mark.pos);
    // A value that is not there at all has no place of its own: its key's is shown.
    const bool is_written = position < text_.size() && (text_[position] == '~' || text_[position] == 'n' || text_[position] == 'N');
    if (!is_written && !open_.empty() && open_.back().key) node.at = open_.back().key->at;
    put(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node = make(Node::Kind::refused, mark);
    problems_.error(node.at, "an alias; aliases are not supported: write the value out");
    put(std::move(node));
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    problems_.error(place(mark), "an anchor; anchors are not supported: write the value out where it is needed");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    Node node = make(Node::Kind::scalar, mark);
    node.quoted = tag == "!";
    node.written = value;
    node.text = value;
    if (refuse_tag(tag, node.at)) node.kind = Node::Kind::refused;
    const bool is_key = !open_.empty() && open_.back().node.kind == Node::Kind::map && !open_.back().key;
    if (!is_key && node.kind == Node::Kind::scalar) expand(node);
    put(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(Node::Kind::sequence, mark, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(Node::Kind::map, mark, tag);
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] Place place(const YAML::Mark& mark) const { return Place{&source_, mark.line + 1, mark.column + 1}; }

 private:
  struct Open {
    Node node;
    std::optional<Node> key;  // of a map: read, its value is still to come
    bool is_refused = false;  // by a tag, or as a key: its content is read and dropped
    std::unordered_map<std::string, Place> names;
  };

  Node make(Node::Kind kind, const YAML::Mark& mark) {
    if (++nodes_ > limits_.nodes_max) throw GiveUp{place(mark), fmt::format("more than {} values in one file", limits_.nodes_max)};
    Node node;
    node.kind = kind;
    node.at = place(mark);
    return node;
  }

  // "?" and "!" are what yaml-cpp says for plain and quoted scalars without a tag.
  bool refuse_tag(const std::string& tag, const Place& at) {
    if (tag.empty() || tag == "?" || tag == "!") return false;
    problems_.error(at, "a tag; tags are not supported: write the plain value");
    return true;
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag) {
    if (open_.size() >= limits_.depth_max) throw GiveUp{place(mark), fmt::format("nested deeper than {} levels", limits_.depth_max)};
    Open opened{make(kind, mark), std::nullopt, false, {}};
    opened.is_refused = refuse_tag(tag, opened.node.at);
    open_.push_back(std::move(opened));
  }

  void close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.is_refused) {
      closed.node.kind = Node::Kind::refused;
      closed.node.items.clear();
      closed.node.members.clear();
    }
    put(std::move(closed.node));
  }

  void put(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::sequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      put_member(parent, std::move(*parent.key), std::move(node));
      parent.key.reset();
    }
  }

  void put_member(Open& parent, Node key, Node value) {
    if (key.kind == Node::Kind::refused) return;
    if (key.kind != Node::Kind::scalar || key.text.empty()) {
      problems_.error(key.at, "a key that is not a name; expected `name: value`");
      return;
    }
    const auto [first, is_new] = parent.names.try_emplace(key.text, key.at);
    if (!is_new) {
      problems_.error(key.at, fmt::format("{} stands here twice; it is already on line {}", shown(key), first->second.line));
      return;
    }
    parent.node.members.push_back(Member{std::move(key), std::move(value)});
  }

  // ${NAME} -> the variable's value; the value is not looked at again. No message ever holds a value.
  void expand(Node& node) {
    std::string out;
    std::string_view rest = node.written;
    for (std::size_t at = rest.find("${"); at != std::string_view::npos; at = rest.find("${")) {
      out.append(rest.substr(0, at));
      const std::size_t end = rest.find('}', at);
      if (end == std::string_view::npos) return refuse(node, "'${' without its '}'; expected ${NAME}");
      const std::string name(rest.substr(at + 2, end - at - 2));
      for (std::size_t i = 0; i < name.size(); ++i) {
        if (!is_name_byte(name[i], i == 0))
          return refuse(node, "'${…}' does not hold the name of an environment variable; expected ${NAME}");
      }
      if (name.empty()) return refuse(node, "'${}' names no environment variable; expected ${NAME}");
      const std::optional<std::string> value = environment_(name);
      if (!value) return refuse(node, fmt::format("the environment variable {} is not set", name));
      out.append(*value);
      if (out.size() > limits_.bytes_max) return refuse(node, fmt::format("with ${{{}}} the value is too long", name));
      rest.remove_prefix(end + 1);
      node.expanded = true;
    }
    if (node.expanded) {
      out.append(rest);
      node.text = std::move(out);
    }
  }

  void refuse(Node& node, std::string message) {
    problems_.error(node.at, std::move(message));
    node.kind = Node::Kind::refused;
  }

  std::string_view text_;
  const Source& source_;
  Environment environment_;
  Problems& problems_;
  const YamlLimits& limits_;
  std::vector<Open> open_;
  std::optional<Node> root_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

// What is wrong with the bytes themselves, before they are read as YAML.
std::optional<GiveUp> refuse_bytes(std::string_view text, const Source& source, const YamlLimits& limits) {
  const Place start{&source, 1, 1};
  if (text.size() > limits.bytes_max) return GiveUp{start, fmt::format("larger than {} KiB", limits.bytes_max / 1024)};
  if (text.starts_with("\xEF\xBB\xBF")) return GiveUp{start, "begins with a byte order mark; expected UTF-8 without one"};
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) return GiveUp{start, "is UTF-16; expected UTF-8"};
  Place at = start;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n') {
      ++at.line;
      at.column = 1;
      continue;
    }
    if (byte == '\t') return GiveUp{at, "a tab; expected spaces"};
    const bool is_line_end = byte == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if ((byte < 0x20 || byte == 0x7F) && !is_line_end) return GiveUp{at, fmt::format("the control byte 0x{:02X}", byte)};
    ++at.column;
  }
  at = start;
  for (const std::string_view line : split(text, '\n')) {  // no character spans lines
    if (!is_utf8(line)) return GiveUp{at, "this line is not UTF-8"};
    ++at.line;
  }
  return std::nullopt;
}

}  // namespace

std::string_view kind_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::blank: return "nothing";
    case Node::Kind::scalar: return "a single value";
    case Node::Kind::sequence: return "a list";
    case Node::Kind::map: return "a mapping";
    case Node::Kind::refused: return "a refused value";
  }
  return "";
}

std::string shown(const Node& node) {
  constexpr std::size_t kShownBytesMax = 80;
  if (node.kind != Node::Kind::scalar) return std::string(kind_of(node));
  std::string out = "'";
  for (const char c : std::string_view(node.written).substr(0, kShownBytesMax)) {
    out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c);
  }
  while (!is_utf8(out)) out.pop_back();  // the cut went through a character
  return out + (node.written.size() > kShownBytesMax ? "…'" : "'");
}

std::optional<Node> read_yaml(std::string_view text, const Source& source, Environment environment, Problems& problems,
                              const YamlLimits& limits) {
  if (const auto refused = refuse_bytes(text, source, limits)) {
    problems.error(refused->at, refused->message);
    return std::nullopt;
  }
  TreeBuilder builder(text, source, environment, problems, limits);
  const Place start{&source, 1, 1};
  try {
    TextBuffer buffer(text);
    std::istream in(&buffer);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const GiveUp& refused) {
    problems.error(refused.at, refused.message);
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    problems.error(error.mark.is_null() ? start : builder.place(error.mark), "this is not YAML: " + error.msg);
    return std::nullopt;
  } catch (const std::exception& error) {  // what yaml-cpp did not foresee
    problems.error(start, std::string("this cannot be read as YAML: ") + error.what());
    return std::nullopt;
  }
  std::optional<Node> root = builder.take();
  if (!root || root->kind == Node::Kind::blank) {
    problems.error(start, "the file is empty");
    return std::nullopt;
  }
  return root;
}

}  // namespace sallyport::app
