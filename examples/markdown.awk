# Markdown to HTML, as much of it as the pages of this repository have: headings, paragraphs, lists, tables, fenced code,
# links, pictures, code and emphasis in a line.

function open_block(tag) {
  if (block == tag) return
  close_block()
  if (tag != "") print "<" tag ">"
  block = tag
}

function close_block() {
  if (item) print "</li>"
  item = 0
  if (block != "") print "</" block ">"
  block = ""
}

function escaped(text) {
  gsub(/&/, "\\&amp;", text)
  gsub(/</, "\\&lt;", text)
  gsub(/>/, "\\&gt;", text)
  gsub(/"/, "\\&quot;", text)
  return text
}

# A line that is escaped already, with what is marked in it.
function marked(text,    out, parts, i, n, label, target) {
  n = split(text, parts, "`")
  for (i = 1; i <= n; i++) {
    if (i % 2 == 0 && i < n) { out = out "<code>" parts[i] "</code>"; continue }
    text = parts[i]
    # The picture lies beside the page, where this server does not look.
    gsub(/!\[[^]]*\]\([^)]*\)/, "", text)
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
      label = substr(text, RSTART + 1, RLENGTH - 2)
      target = label
      sub(/\]\(.*/, "", label)
      sub(/.*\]\(/, "", target)
      text = substr(text, 1, RSTART - 1) "<a href=\"" target "\">" label "</a>" substr(text, RSTART + RLENGTH)
    }
    while (match(text, /\*\*[^*]+\*\*/))
      text = substr(text, 1, RSTART - 1) "<b>" substr(text, RSTART + 2, RLENGTH - 4) "</b>" substr(text, RSTART + RLENGTH)
    while (match(text, /&lt;http[^ ]*&gt;/)) {
      target = substr(text, RSTART + 4, RLENGTH - 8)
      text = substr(text, 1, RSTART - 1) "<a href=\"" target "\">" target "</a>" substr(text, RSTART + RLENGTH)
    }
    out = out text
  }
  return out
}

BEGIN {
  print "<!DOCTYPE html>"
  print "<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
  print "<title>ucspi-tcp</title>"
  print "<style>body{max-width:60em;margin:2em auto;padding:0 1em;font-family:sans-serif;line-height:1.5}"
  print "pre{background:#8882;padding:1em;overflow:auto}td,th{border:1px solid #888;padding:.2em .6em;text-align:left}"
  print "table{border-collapse:collapse;display:block;overflow:auto}:root{color-scheme:light dark}</style>"
}

/^```/ {
  if (code) print "</code></pre>"; else { close_block(); printf "<pre><code>" }
  code = !code
  next
}
code { print escaped($0); next }

{ $0 = escaped($0) }

/^#+ / {
  close_block()
  level = index($0, " ") - 1
  print "<h" level ">" marked(substr($0, level + 2)) "</h" level ">"
  next
}
/^\|[-| ]*\|$/ { next }
/^\|/ {
  cell = block == "table" ? "td" : "th"
  open_block("table")
  sub(/^\| */, "")
  sub(/ *\|$/, "")
  gsub(/ *\| */, "</" cell "><" cell ">")
  print "<tr><" cell ">" marked($0) "</" cell "></tr>"
  next
}
/^[*-] / {
  open_block("ul")
  if (item) print "</li>"
  item = 1
  print "<li>" marked(substr($0, 3))
  next
}
/^ *$/ { close_block(); next }
{
  if (block != "ul") open_block("p")
  print marked($0)
}
END { close_block() }
