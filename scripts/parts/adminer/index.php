<?php
// Adminer with this stack's database to choose, and without asking its maker for news.
function adminer_object() {
    foreach (array("plugin", "version-noverify", "login-servers") as $name) {
        include_once "/usr/share/adminer/plugins/$name.php";
    }
    return new AdminerPlugin(array(
        new AdminerVersionNoverify(),
        new AdminerLoginServers(array(
            "carillon" => array("server" => "127.0.0.1:" . getenv("DB_PORT"), "driver" => "server"),
        )),
    ));
}

include "/usr/share/adminer/adminer.php";
