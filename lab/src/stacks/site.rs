//! The PHP site: a front controller, ordinary pages, and one handler for each fault.

use anyhow::Result;

use crate::run::Run;

const INDEX: &str = r#"<?php
$path = strtok($_SERVER['REQUEST_URI'], '?');
foreach (require __DIR__ . '/../config/routes.php' as $pattern => $file) {
    if (preg_match($pattern, $path)) { require __DIR__ . '/../' . $file; exit; }
}
require __DIR__ . '/../lib/page.php';
"#;

const PAGE: &str = r#"<?php
function render_related($slug) {
    if (crc32($slug) % 23 == 0) { $title = $related_items['title']; }
    if (crc32($slug) % 41 == 0) { $teaser = file_get_contents('/var/cache/site/teaser.html'); }
    return str_repeat("<li>" . md5($slug) . "</li>\n", 40 + crc32($slug) % 90);
}
$t = strncmp($path, '/api/', 5) == 0 || strncmp($path, '/wp-json/', 9) == 0 || $path == '/wp-admin/admin-ajax.php';
usleep(random_int(1500, $t ? 12000 : 45000));
if ($t) {
    header('Content-Type: application/json');
    echo json_encode(['ok' => true, 'path' => $path, 'hash' => md5($_SERVER['REQUEST_URI']), 'n' => crc32($path) % 1000]);
} else {
    header('Content-Type: text/html; charset=UTF-8');
    if ($_SERVER['REQUEST_METHOD'] == 'POST') { setcookie('basket', md5($path)); }
    echo "<!doctype html><title>$path</title><ul>\n", render_related($path), "</ul>";
}
"#;

const WIDGET: &str = r#"<?php
error_log('widget: price service answered without currency');
http_response_code(500);
echo "<h1>Something went wrong</h1>";
"#;

/// Fault handlers by name; `[[…]]` is where a scenario's own values go.
const HANDLERS: &[(&str, &str)] = &[
    (
        "lib/tree.php",
        r#"<?php
function flatten($node) { return array_map('flatten', [$node]); }
usleep(random_int(1000, 30000));
echo json_encode(flatten(['id' => 1]));
"#,
    ),
    (
        "lib/import.php",
        r#"<?php
function read_rows($n) { $rows = []; for ($i = 0; $i < $n; $i++) { $rows[] = str_repeat(chr(65 + $i % 26), 1 << 20); usleep(1500); } return $rows; }
echo count(read_rows(400));
"#,
    ),
    (
        "lib/invoice.php",
        r#"<?php
namespace Shop\Billing;
class InvoiceBuilder {
    private ?\DateTimeImmutable $due = null;
    public function total(array $lines): float { return array_sum(array_column($lines, 'sum')) / $this->days(); }
    private function days(): int { return $this->due->diff(new \DateTimeImmutable())->days; }
}
usleep(random_int(2000, 20000));
echo (new InvoiceBuilder())->total([['sum' => 12.5]]);
"#,
    ),
    (
        "lib/thumbs.php",
        r#"<?php
function load_all($n) { $all = []; while ($n--) { $all[] = str_repeat('x', 1 << 19); } return $all; }
ini_set('memory_limit', '24M');
usleep(random_int(1000, 9000));
echo strlen(implode('', load_all(200)));
"#,
    ),
    (
        "lib/rates.php",
        r#"<?php
// A remote API that has become slow; asleep like a blocking socket read.
$until = microtime(true) + [[SLEEP]];
while (microtime(true) < $until) { usleep(200000); }
header('Content-Type: application/json');
echo '{"rates":[4.9]}';
"#,
    ),
    (
        "lib/digest.php",
        r#"<?php
ini_set('max_execution_time', '1');
function seal($s) { return hash_pbkdf2('sha256', $s, 'salt', 60000000); }
echo seal('x');
"#,
    ),
    (
        "lib/wishes.php",
        r#"<?php
$n = crc32($_SERVER['REQUEST_URI']) % 12;
for ($i = 0; $i < 36 + $n; $i++) { header('Set-Cookie: seen_' . $i . '=' . str_repeat(md5((string) $i), 120) . '; Path=/', false); }
header('Content-Type: text/html');
usleep(random_int(2000, 20000));
echo str_repeat('<p>' . md5($path) . '</p>', 90);
"#,
    ),
    (
        "lib/list.php",
        r#"<?php
header('Content-Type: text/html');
usleep(random_int(2000, 20000));
echo str_repeat('<p>' . md5($path) . '</p>', [[ROWS]]);
"#,
    ),
    (
        "modules/contrib/webform_stock/src/StockElement.php",
        r#"<?php
namespace Drupal\webform_stock;
final class StockElement {
    public function __construct(private array $settings) {}
    public function build(): array { return ['#left' => $this->left('sku')]; }
    private function left(string $key): int { return intdiv($this->settings['total'] ?? 0, $this->settings['per_box'] ?? 0); }
}
usleep(random_int(1000, 9000));
echo json_encode((new StockElement([]))->build());
"#,
    ),
    (
        "wp-content/mu-plugins/geo-price.php",
        r#"<?php
namespace GeoPrice;
function zone(?array $rates, string $country): float { return factor($rates, $country) * 1.19; }
function factor(array $rates, string $country): float { return $rates[$country]; }
usleep(random_int(1000, 9000));
echo zone(null, 'de');
"#,
    ),
    (
        "lib/member.php",
        r#"<?php
// A session plugin that sets one cookie for every thing a logged-in member has looked at.
if (isset($_COOKIE['wordpress_logged_in'])) {
    for ($i = 0; $i < 46; $i++) { header('Set-Cookie: wp_seen_' . $i . '=' . str_repeat(md5((string) $i), 95) . '; Path=/', false); }
}
header('Content-Type: text/html');
usleep(random_int(2000, 20000));
echo str_repeat('<p>' . md5($path) . '</p>', 60);
"#,
    ),
    (
        "lib/upstream.php",
        r#"<?php
// Relays the status of the service it calls, here another zone behind Cloudflare that answered 520.
usleep(random_int(5000, 60000));
header('HTTP/1.1 520 Origin Error');
header('Status: 520');
header('Content-Type: text/html');
echo '<h1>520</h1><p>upstream service unavailable</p>';
"#,
    ),
    (
        "wp-includes/class-wp-hook.php",
        r#"<?php
final class WP_Hook {
    public $callbacks = [];
    public function apply_filters($value, $args) {
        foreach ($this->callbacks as $the_) { $value = call_user_func_array($the_, $args); }
        return $value;
    }
    public function do_action($args) { $this->apply_filters('', $args); }
}
"#,
    ),
    (
        "wp-includes/plugin.php",
        r#"<?php
require_once __DIR__ . '/class-wp-hook.php';
function do_action($hook, ...$args) { global $wp_filter; $wp_filter[$hook]->do_action($args); }
function add_action($hook, $cb) { global $wp_filter; $wp_filter[$hook] ??= new WP_Hook(); $wp_filter[$hook]->callbacks[] = $cb; }
"#,
    ),
    (
        "wp-content/plugins/booking-calendar-lite/includes/class-availability.php",
        r#"<?php
class BCL_Availability {
    public function slots($day) { return $this->fetch($day)->slots; }
    private function fetch($day) { return bcl_remote_cached('/v1/slots', $day); }
    public static function render($day) { usleep(random_int(1000, 9000)); echo (new self())->slots($day); }
}
"#,
    ),
    (
        "wp-content/plugins/booking-calendar-lite/booking.php",
        r#"<?php
require __DIR__ . '/../../../wp-includes/plugin.php';
require __DIR__ . '/includes/class-availability.php';
add_action('template_redirect', ['BCL_Availability', 'render']);
do_action('template_redirect', '2026-11-23');
"#,
    ),
];

/// Writes the site; `routes` are (regex, file) tried first.
pub fn write(run: &Run, routes: &[(&str, &str)], values: &[(&str, &str)]) -> Result<()> {
    let base = "var/www/site";
    run.write(&format!("{base}/public/index.php"), INDEX)?;
    run.write(&format!("{base}/lib/page.php"), PAGE)?;
    run.write(&format!("{base}/lib/widget.php"), WIDGET)?;
    for (file, text) in HANDLERS {
        let mut text = (*text).to_owned();
        for (k, v) in values {
            text = text.replace(&format!("[[{k}]]"), v);
        }
        run.write(&format!("{base}/{file}"), &text)?;
    }
    let mut table = String::from("<?php return [\n");
    for (pattern, file) in routes {
        table += &format!("  '#{pattern}#' => '{file}',\n");
    }
    table += "  '#^/widget/#' => 'lib/widget.php',\n];\n";
    run.write(&format!("{base}/config/routes.php"), &table)?;
    for n in 0..5 {
        run.write(&format!("{base}/public/assets/app.{:x}.css", n + 0x3a1), &"a{color:#123}\n".repeat(1000 + n * 22))?;
        run.write(&format!("{base}/public/assets/main.{:x}.js", n + 0x7f2), &"let a=1;//xx\n".repeat(4600 + n * 8))?;
    }
    for n in 0..30 {
        run.write(&format!("{base}/public/img/s{n}.webp"), &"RIFFwebp".repeat(1100 + n * 50))?;
    }
    run.write(&format!("{base}/public/favicon.ico"), &"i".repeat(4286))?;
    Ok(())
}
