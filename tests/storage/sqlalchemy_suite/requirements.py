"""What the compliance suite may expect: SQLite's abilities, and those that the engine's connections take away."""

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements


class Requirements(SuiteRequirements):
    """The suite's defaults, and what follows."""

    def get_isolation_levels(self, config: Any) -> dict[str, Any]:
        return {"default": "SERIALIZABLE", "supported": ["SERIALIZABLE", "IMMEDIATE", "AUTOCOMMIT"]}


def _set(names: str, rule: Any) -> None:
    for name in names.split():
        assert hasattr(SuiteRequirements, name), f"the suite knows no requirement {name}"
        setattr(Requirements, name, property(lambda self, rule=rule: rule()))


# SQLite has them.
_set(
    """
    ctes_with_values dbapi_lastrowid expression_server_defaults fk_constraint_option_reflection_ondelete_noaction
    fk_constraint_option_reflection_ondelete_restrict fk_constraint_option_reflection_onupdate_restrict
    float_or_double_precision_behaves_generically index_ddl_if_exists indexes_check_column_order infinity_floats
    nvarchar_types repeated_column_foreign_keys supports_bitwise_and supports_bitwise_not supports_bitwise_or
    supports_bitwise_shift update_from window_range_numeric skip_autocommit_rollback
    autocommit binary_comparisons binary_literals bound_limit_offset check_constraint_reflection computed_columns
    computed_columns_reflect_persisted computed_columns_stored computed_columns_virtual create_table_as
    ctes ctes_with_update_delete
    date_historic datetime_historic datetime_literals datetime_microseconds delete_returning
    duplicate_key_raises_integrity_error emulated_lastrowid except_ expressions_against_unbounded_text
    foreign_key_constraint_name_reflection foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate foreign_key_constraint_reflection get_isolation_level_values
    independent_readonly_connections index_reflection indexes_with_expressions inline_check_constraint_reflection
    insert_from_select insert_returning intersect isolation_level json_type literal_float_coercion
    nullsordering on_update_cascade order_by_label_with_expression primary_key_constraint_reflection
    reflect_table_options reflects_pk_names regexp_match savepoints server_defaults sql_expression_limit_offset
    standalone_null_binds_whereclause supports_is_distinct_from table_ddl_if_exists time_microseconds tuple_in
    tuple_in_w_empty unbounded_varchar unicode_data unicode_ddl unique_constraint_reflection
    unusual_column_name_characters update_returning update_where_target_in_subquery view_column_reflection
    view_reflection views window_functions window_range
    """,
    exclusions.open,
)

# Everything else that the suite asks for is skipped, with the name of the requirement as the reason: what SQLite, or
# SQLAlchemy's dialect for it, has not, and of what it has:
#  * temporary tables and views: reads and writes use different connections, and a temporary table belongs to one;
#  * independent_connections: a second transaction that writes on the same thread is refused (NestedTransactionError)
#    instead of waiting for itself.
_set(
    """
    array_type comment_reflection identity_columns implicitly_named_constraints order_by_col_from_union
    parens_in_union_contained_select_w_limit_offset parens_in_union_contained_select_wo_limit_offset
    reflect_indexes_with_expressions schemas sequences uuid_data_type
    has_temp_table independent_connections temp_table_names temp_table_reflection temporary_views
    """,
    exclusions.closed,
)


def _name_reasons() -> None:
    plain = Requirements()
    for name in dir(SuiteRequirements):
        rule = getattr(plain, name) if isinstance(getattr(SuiteRequirements, name), property) else None
        if isinstance(rule, exclusions.compound) and any(skip.description == "marked as skip" for skip in rule.skips):
            because = exclusions.BooleanPredicate(True, f"requirement {name}")
            setattr(Requirements, name, property(lambda self, because=because: exclusions.skip_if(because)))


_name_reasons()
