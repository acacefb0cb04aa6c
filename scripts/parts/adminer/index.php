<?php
// SPDX-License-Identifier: MIT
// Adminer with this stack's database to choose, and without asking its maker for news. Adminer 4 (Debian 12) keeps what
// joins plugins in a file of its own; Adminer 5 (Debian 13) has it inside, under another name.
function adminer_object() {
    $folder = "/usr/share/adminer/plugins";
    $joins = "Adminer\\Plugins";
    if (file_exists("$folder/plugin.php")) {
        include_once "$folder/plugin.php";
        $joins = "AdminerPlugin";
    }
    foreach (array("version-noverify", "login-servers") as $name) {
        include_once "$folder/$name.php";
    }
    return new $joins(array(
        new AdminerVersionNoverify(),
        new AdminerLoginServers(array(
            "carillon" => array("server" => "127.0.0.1:" . getenv("DB_PORT"), "driver" => "server"),
        )),
    ));
}

include "/usr/share/adminer/adminer.php";
