"""The modules of hippopt import each other one way: no module is reached again from what it imports."""

import grimp


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("hippopt", exclude_type_checking_imports=False)
    imported = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    left = dict(imported)
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    circles = {module: sorted(others & left.keys()) for module, others in left.items()}
    assert not circles
