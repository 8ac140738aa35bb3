// A second opinion on heads: what Boost.Beast reads in them. It takes much that we refuse (docs/adr/0006); what we take it must take, too,
// and read the same fields.
#pragma once

#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

namespace sallyport {

template <bool is_request>
class BeastHead final : public boost::beast::http::basic_parser<is_request> {
 public:
  using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

  // Whether `head`, from its first line to its empty line, is one to Beast.
  [[nodiscard]] bool reads(std::string_view head) {
    boost::beast::error_code failure;
    const std::size_t used = this->put(boost::asio::const_buffer(head.data(), head.size()), failure);
    return !failure && used == head.size() && this->is_header_done();
  }
  [[nodiscard]] const Fields& fields() const noexcept { return fields_; }
  [[nodiscard]] int status() const noexcept { return status_; }

  BeastHead() {
    this->header_limit(std::numeric_limits<std::uint32_t>::max());
    this->body_limit(boost::none);
    this->skip(true);
  }

 private:
  using Text = boost::beast::string_view;
  using Failure = boost::beast::error_code;

  void on_request_impl(boost::beast::http::verb, Text, Text, int, Failure&) override {}
  void on_response_impl(int status, Text, int, Failure&) override { status_ = status; }
  void on_field_impl(boost::beast::http::field, Text name, Text value, Failure&) override {
    fields_.emplace_back(std::string_view(name.data(), name.size()), std::string_view(value.data(), value.size()));
  }
  void on_header_impl(Failure&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Failure&) override {}
  std::size_t on_body_impl(Text, Failure&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, Text, Failure&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text, Failure&) override { return 0; }
  void on_finish_impl(Failure&) override {}

  Fields fields_;
  int status_ = 0;
};

// What Beast reads otherwise than `fields`, which are ours; empty when it agrees.
template <bool is_request, class OurFields>
[[nodiscard]] std::string_view disagreement(std::string_view head, const OurFields& fields) {
  BeastHead<is_request> theirs;
  if (!theirs.reads(head)) return "Beast refuses what we take";
  if (theirs.fields().size() != fields.size()) return "Beast counts other fields";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (theirs.fields()[i].first != fields[i].name) return "Beast reads another name";
    if (theirs.fields()[i].second != fields[i].value) return "Beast reads another value";
  }
  return {};
}

}  // namespace sallyport
